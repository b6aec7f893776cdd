export declare const ROUTES: Record<string, string>;
