// What the page remembers between visits. Storage may be forbidden; then it remembers nothing.

const PREFIX = "weirgate.";

export type Remembered = "name" | "camera" | "microphone" | "speaker";

export function recall(key: Remembered): string {
  try {
    return localStorage.getItem(PREFIX + key) ?? "";
  } catch {
    return "";
  }
}

export function remember(key: Remembered, value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // Nothing is lost but the convenience.
  }
}
