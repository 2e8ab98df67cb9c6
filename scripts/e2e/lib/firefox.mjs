// Firefox over WebDriver BiDi, with its fake devices.

import puppeteer from "puppeteer-core";
import { callQuery, Participant } from "./chromium.mjs";

const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.permission.disabled": true,
  "media.autoplay.default": 0,
  "media.autoplay.blocking_policy": 0,
  "media.peerconnection.ice.obfuscate_host_addresses": false,
  "network.captive-portal-service.enabled": false,
  "app.update.enabled": false,
};

export function launchFirefox() {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    headless: true,
    extraPrefsFirefox: PREFERENCES,
  });
}

/** Opens the call page and joins; gives a {@link Participant} that is `joined`. */
export async function joinCallInFirefox(browser, server, options) {
  const page = await browser.newPage();
  const problems = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  await page.goto(`${server.url}/?${callQuery(options)}`);
  const participant = new Participant((expression) => page.evaluate(expression), page, options.name, problems);
  await participant.joined(30_000);
  return participant;
}
