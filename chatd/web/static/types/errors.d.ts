import type { RefusalCode } from "./wire.js";
/** The server has refused a command. */
export declare class Refused extends Error {
    readonly code: RefusalCode;
    /** Seconds to wait before the command is sent again. */
    readonly retryAfter?: number | undefined;
    readonly details?: Record<string, unknown> | undefined;
    readonly name = "Refused";
    constructor(code: RefusalCode, message: string, 
    /** Seconds to wait before the command is sent again. */
    retryAfter?: number | undefined, details?: Record<string, unknown> | undefined);
    get retryable(): boolean;
}
/** The connection ended before the answer arrived: the outcome of the command is unknown. */
export declare class Disconnected extends Error {
    readonly name = "Disconnected";
    constructor(message?: string);
}
/** The server does not want this client back: it was logged out, banned, or its token is refused. */
export declare class Ended extends Error {
    readonly code: "logged_out" | "banned" | "replaced" | "unauthenticated" | "protocol_error" | "stopped" | string;
    readonly name = "Ended";
    constructor(code: "logged_out" | "banned" | "replaced" | "unauthenticated" | "protocol_error" | "stopped" | string, message: string);
}
/** The refusal in an answer or an error response. */
export declare function refusal(body: unknown): Refused;
