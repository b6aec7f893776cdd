// Voice messages: a recording, and how loud it was.
import { attempt } from "./app.js";
import { iconButton } from "./controls.js";
import { el, fill } from "./dom.js";
import { lengthOf } from "./format.js";

const SAMPLES = 64;
const LOOK_MS = 100;
const MAX_MS = 15 * 60_000;
const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

export const canRecord = (): boolean => typeof MediaRecorder === "function" && navigator.mediaDevices !== undefined;

/** Replaces the button while it records. `finished` gets the file and its waveform. */
export function voiceButton(finished: (file: File, waveform: number[]) => void): HTMLElement {
  const begin = iconButton("mic", "Record a voice message", () => void attempt(() => record(node, begin, finished)));
  const node = el("div", { class: "voice" }, begin);
  return node;
}

async function record(
  node: HTMLElement,
  begin: HTMLElement,
  finished: (file: File, waveform: number[]) => void,
): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true }).catch(() => {
    throw new Error("The browser does not allow this page to use the microphone");
  });
  const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one)) ?? "";
  const recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
  const parts: Blob[] = [];
  const levels: number[] = [];
  const level = levelOf(stream);
  const started = performance.now();
  const time = el("span", { class: "recording-time", role: "timer" }, "0:00");
  let isKept = true;
  const end = (keep: boolean) => (): void => {
    isKept = keep;
    if (recorder.state !== "inactive") recorder.stop();
  };
  const timer = setInterval(() => {
    levels.push(level.read());
    const ms = performance.now() - started;
    fill(time, lengthOf(ms / 1000));
    if (ms > MAX_MS) end(true)();
  }, LOOK_MS);
  recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
  recorder.addEventListener("stop", () => {
    clearInterval(timer);
    level.stop();
    for (const track of stream.getTracks()) track.stop();
    fill(node, begin);
    begin.focus();
    const kind = recorder.mimeType.split(";")[0] || "audio/webm";
    const name = `voice.${kind.split("/")[1]}`;
    if (isKept) finished(new File(parts, name, { type: kind }), shortened(levels));
  });
  const stop = iconButton("stop", "Stop and attach", end(true));
  fill(node, iconButton("close", "Discard the recording", end(false)), time, stop);
  stop.focus();
  recorder.start();
}

function levelOf(stream: MediaStream): { read(): number; stop(): void } {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    read() {
      analyser.getFloatTimeDomainData(samples);
      return Math.min(100, Math.round(Math.max(...samples.map(Math.abs)) * 100));
    },
    stop: () => void context.close(),
  };
}

/** The loudest of each of 64 parts. */
function shortened(levels: number[]): number[] {
  if (levels.length <= SAMPLES) return levels.length ? levels : [0];
  const part = levels.length / SAMPLES;
  return Array.from({ length: SAMPLES }, (_, at) =>
    Math.max(...levels.slice(Math.floor(at * part), Math.floor((at + 1) * part))),
  );
}
