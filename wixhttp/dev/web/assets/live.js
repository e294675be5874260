// Loads this page again once the server has reloaded: it tells by an event stream which generation of the code answers.
"use strict";

const shown = document.querySelector('meta[name="generation"]').content;
let pause = 100;

function follow() { // inspector.js, which may be on the same page, has a function listen
  const events = new EventSource("/_wixhttp/live");
  events.addEventListener("generation", (event) => {
    pause = 100;
    if (String(JSON.parse(event.data).generation) === shown) return;
    events.close();
    if (document.body.dataset.live === "reload") {
      location.reload();
    } else { // the page answers a form, and to load it again would send that again
      document.getElementById("reloaded").hidden = false;
    }
  });
  events.onerror = () => { // the server reloads, or is gone: the browser's own pause is seconds long
    events.close();
    setTimeout(follow, pause);
    pause = Math.min(pause * 2, 2000);
  };
}

follow();
