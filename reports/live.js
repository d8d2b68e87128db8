"use strict";
// Of `mbench history serve` alone: asks its own server whether the site was made anew, and loads the page again if so.
(() => {
  const made = document.documentElement.dataset.live;
  const look = async () => {
    try {
      const answer = await fetch("version.txt", { cache: "no-store" });
      if (answer.ok && (await answer.text()).trim() !== made) location.reload();
    } catch {
      // the server has ended: the page stays as it is
    }
  };
  setInterval(look, 2000);
})();
