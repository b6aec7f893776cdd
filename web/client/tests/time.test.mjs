// Backoff, the clock of the server, sizes, claims, ids.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load } from "./load.mjs";

const { Backoff, ServerClock, bytesOf, claimsOf, uuid } = await load("time", "link", "tokens", "ids");

test("the backoff grows, and is reset only after a stable half minute", () => {
  const backoff = new Backoff(() => 1);
  assert.deepEqual(Array.from({ length: 8 }, () => backoff.next(0)), [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  backoff.connected(0);
  assert.equal(backoff.next(29_999), 30_000);
  backoff.connected(0);
  assert.equal(backoff.next(30_000), 500);
  assert.equal(backoff.next(0, 7000), 7500);
});

test("the server's time does not follow the clock of the device", () => {
  const clock = new ServerClock();
  assert.equal(clock.deviceAhead, 0);
  const real = Date.now;
  const day = 86_400_000;
  try {
    clock.set(real() - day);
    assert.ok(Math.abs(clock.deviceAhead - day) < 1000);
    Date.now = () => real() + 5 * day;
    assert.ok(Math.abs(clock.now() - (real() - day)) < 1000);
    assert.ok(Math.abs(clock.deviceAhead - 6 * day) < 1000);
  } finally {
    Date.now = real;
  }
});

test("sizes are those of UTF-8", () => {
  for (const text of ["", "a", "ä", "€", "😀", "a😀ä€".repeat(9), JSON.stringify("\ud83d")])
    assert.equal(bytesOf(text), Buffer.byteLength(text), text);
});

test("claims are read without a check, and never fail", () => {
  const claims = { sub: "Ängste 😀", tid: "acme" };
  const part = Buffer.from(JSON.stringify(claims)).toString("base64url");
  assert.deepEqual(claimsOf(`x.${part}.y`), claims);
  for (const token of ["", "x", "a.b.c", "...", `x.${part}`.slice(0, -3)]) assert.equal(typeof claimsOf(token), "object");
});

test("ids are UUIDs, also without a source of randomness", () => {
  const form = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
  const source = Object.getOwnPropertyDescriptor(globalThis, "crypto");
  for (const crypto of [globalThis.crypto, undefined, {}]) {
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
    const ids = new Set(Array.from({ length: 1000 }, uuid));
    assert.equal(ids.size, 1000);
    for (const id of ids) assert.match(id, form);
  }
  if (source) Object.defineProperty(globalThis, "crypto", source);
});
