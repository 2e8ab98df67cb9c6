const PATHS = {
  microphone: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3Zm6-3a6 6 0 0 1-12 0M12 18v3",
  microphoneOff: "M15 10V6a3 3 0 0 0-5.8-1M9 9v3a3 3 0 0 0 4.5 2.6M18 12a6 6 0 0 1-.7 2.8M6 12a6 6 0 0 0 9 5.2M12 18v3M4 3l16 18",
  camera: "M4 7h9a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2Zm11 4 6-3v8l-6-3",
  cameraOff: "M9.5 7H13a2 2 0 0 1 2 2v3.5M15 11l6-3v8l-3-1.500M14.5 16.500A2 2 0 0 1 13 17H4a2 2 0 0 1-2-2V9c0-.9.6-1.7 1.4-1.900M3 3l18 18",
  screen: "M3 4h18v12H3ZM8 20h8M12 16v4M12 13V7M9 10l3-3 3 3",
  stats: "M4 20V10M10 20V4M16 20v-8M22 20H2",
  settings: "M4 7h9M17 7h3M4 17h3M11 17h9M15 4.500v5M9 14.500v5",
  leave: "M3 14c0-5 18-5 18 0v2l-5-1v-2.500c-2.5-1-5.5-1-8 0V15l-5 1Z",
  link: "M10 14a4 4 0 0 0 6 .400l3-3a4 4 0 0 0-5.7-5.700l-1 1M14 10a4 4 0 0 0-6-.400l-3 3a4 4 0 0 0 5.7 5.700l1-1",
} as const;

export type Icon = keyof typeof PATHS;

/** A line drawing in the colour of the text around it; screen readers skip it. */
export function icon(name: Icon): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path") as SVGPathElement;
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
