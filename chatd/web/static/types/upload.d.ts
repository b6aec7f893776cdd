import { type Rest } from "./rest.js";
import type { Tokens } from "./tokens.js";
import type { Upload } from "./wire.js";
export interface UploadOptions {
    name?: string;
    /** Called with the bytes that were sent, and all bytes. */
    progress?: (sent: number, total: number) => void;
    signal?: AbortSignal;
}
/** Larger files are sent in parts. */
export declare const PARTS_FROM_BYTES: number;
export declare function upload(rest: Rest, tokens: Tokens, file: Blob, options: UploadOptions): Promise<Upload>;
