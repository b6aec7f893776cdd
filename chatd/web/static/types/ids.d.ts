/** A random UUID. `crypto.randomUUID` is missing on pages without TLS, and in React Native. */
export declare function uuid(): string;
