import type { Body, RefusalCode } from "./wire.js";

/** The server has refused a command. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(
    readonly code: RefusalCode,
    message: string,
    /** Seconds to wait before the command is sent again. */
    readonly retryAfter?: number,
    readonly details?: Record<string, unknown>,
  ) {
    super(message);
  }

  get retryable(): boolean {
    return RETRYABLE.has(this.code);
  }
}

/** The connection ended before the answer arrived: the outcome of the command is unknown. */
export class Disconnected extends Error {
  override readonly name = "Disconnected";
  constructor(message = "the connection ended before the answer") {
    super(message);
  }
}

/** The server does not want this client back: it was logged out, banned, or its token is refused. */
export class Ended extends Error {
  override readonly name = "Ended";
  constructor(
    readonly code: "logged_out" | "banned" | "replaced" | "unauthenticated" | "protocol_error" | "stopped" | string,
    message: string,
  ) {
    super(message);
  }
}

const RETRYABLE = new Set<string>(["rate_limited", "unavailable", "timeout", "maintenance"]);

/** The refusal in an answer or an error response. */
export function refusal(body: unknown): Refused {
  const error = body as Partial<Body> | null;
  if (typeof error?.code !== "string") return new Refused("unavailable", "the response is not from a chatd server");
  return new Refused(error.code as RefusalCode, String(error.message), error.retry_after, error.details);
}
