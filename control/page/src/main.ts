// Goes from screen to screen: join, call, ended.

import "./ui/style.css";
import { Capture } from "./capture.ts";
import { debugHandle } from "./debug.ts";
import { type Params, readParams } from "./params.ts";
import { recall } from "./remembered.ts";
import { Session } from "./session/session.ts";
import { Signaling } from "./signaling.ts";
import { CallScreen } from "./ui/call.ts";
import { endedScreen } from "./ui/ended.ts";
import { JoinScreen } from "./ui/join.ts";

const params = readParams(location.search);
const app = document.getElementById("app") as HTMLElement;

function makeCapture(): Capture {
  const { width, height, fps } = params;
  return new Capture({ width, height, fps, cameraId: recall("camera"), microphoneId: recall("microphone") });
}

async function openDevices(capture: Capture): Promise<void> {
  // One question of the browser after the other; together they would be asked twice in some.
  if (params.video) await capture.setCamera(true);
  if (params.audio) await capture.setMicrophone(true);
}

function showJoin(): void {
  const capture = makeCapture();
  const screen = new JoinScreen(capture, params, (room, name) => {
    screen.close();
    startCall({ ...params, room, name }, capture);
  });
  app.replaceChildren(screen.element);
  document.title = "Weirgate call";
  screen.focus();
  void openDevices(capture);
}

function startCall(given: Params, capture: Capture): void {
  const signaling = new Signaling();
  const session = new Session(signaling, {
    roomId: given.room,
    displayName: given.name,
    token: given.token,
    codec: given.codec,
    simulcast: given.simulcast,
    scalability: given.scalability,
  });
  const screen = new CallScreen(session, capture, { stats: given.stats });
  app.replaceChildren(screen.element);
  document.title = `${given.room} · Weirgate call`;
  rememberRoom(given.room);
  Object.assign(window, { weirgate: debugHandle(session, capture) });

  const leave = () => void session.leave();
  const retry = () => session.retry();
  addEventListener("pagehide", leave);
  addEventListener("online", retry);
  session.on("change", () => {
    if (session.status !== "ended" || !screen.element.isConnected) return;
    removeEventListener("pagehide", leave);
    removeEventListener("online", retry);
    capture.close();
    screen.close();
    showEnded(session.reason, given);
  });
  capture.attach(session);
  session.join();
}

function showEnded(reason: string, given: Params): void {
  const again = async () => {
    const capture = makeCapture();
    startCall(given, capture);
    await openDevices(capture);
  };
  app.replaceChildren(endedScreen(reason, () => void again(), showJoin));
}

/** Puts the room into the address, so that copying the address shares the room. */
function rememberRoom(room: string): void {
  params.room = room;
  const url = new URL(location.href);
  url.searchParams.set("room", room);
  history.replaceState(null, "", url);
}

if (params.autojoin && params.room) {
  const capture = makeCapture();
  startCall({ ...params, name: params.name || recall("name") }, capture);
  void openDevices(capture);
} else {
  showJoin();
}
// A page that comes out of the browser's back/forward store left its call when it went in.
addEventListener("pageshow", (event) => event.persisted && location.reload());
