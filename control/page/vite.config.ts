import { defineConfig } from "vite";

export default defineConfig({
  // Relative addresses, so the page also works behind a proxy that serves it under a path.
  base: "./",
  build: { target: "es2022", sourcemap: true, chunkSizeWarningLimit: 800 },
  // `npm run dev` against a control that runs on its default address.
  server: { proxy: { "/socket.io": { target: "http://127.0.0.1:8080", ws: true } } },
});
