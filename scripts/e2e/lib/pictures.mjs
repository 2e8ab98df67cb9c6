// Pictures as a viewer sees them: the time between any two on each remote tile.

/** Begins to note it, on the tiles that show a picture now. */
export async function watchPictures(person) {
  await person.evaluate(`(() => {
    const began = performance.now();
    window.pictures = [];
    for (const video of document.querySelectorAll(".tile:not(.own) video")) {
      if (video.videoWidth === 0) continue;
      const tile = { last: began, count: 0, pauses: [] };
      window.pictures.push(tile);
      const next = () => video.requestVideoFrameCallback((now) => {
        tile.pauses.push(now - tile.last);
        tile.last = now;
        tile.count += 1;
        next();
      });
      next();
    }
  })()`);
}

/** Pictures seen, and every pause longer than `least` ms, the one that lasts still included. */
export async function seenPictures(person, least) {
  const tiles = await person.evaluate(`window.pictures.map(({ last, count, pauses }) => (
    { count, pauses: [...pauses, performance.now() - last] }
  ))`);
  return {
    count: tiles.reduce((sum, tile) => sum + tile.count, 0),
    pauses: tiles.flatMap((tile) => tile.pauses).filter((pause) => pause > least).map(Math.round),
  };
}
