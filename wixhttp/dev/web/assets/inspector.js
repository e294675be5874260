// The inspector: new requests appear in the list, keys move through it, "r" replays. All of it works without, by hand.
"use strict";

const MOST_ROWS = 500;
const TELL_AFTER = 1000; // milliseconds for which new requests are counted before a screen reader tells of them
const LOOK_EVERY = 1000; // milliseconds between two looks at what a page shows
const token = document.querySelector('meta[name="token"]').content;
const live = document.getElementById("live");
const rows = document.getElementById("rows");

function showScripted(root) {
  for (const each of root.querySelectorAll("[data-scripted]")) each.hidden = false;
  for (const each of root.querySelectorAll("[data-unscripted]")) each.hidden = true;
}
showScripted(document);

// --- new requests ---

if (live && live.dataset.events) listen(live);

function listen(live) {
  const table = document.getElementById("table");
  const empty = document.getElementById("empty");
  const older = document.getElementById("older");
  const connection = document.getElementById("connection");
  const news = document.getElementById("news");
  const pause = document.getElementById("pause");
  let last = rows.firstElementChild ? rows.firstElementChild.dataset.id : "0";
  let events = null;
  let untold = 0;

  function tell() {
    news.textContent = untold === 1 ? "1 new request" : `${untold} new requests`;
    untold = 0;
  }

  function add(event) {
    const batch = JSON.parse(event.data);
    const made = document.createElement("template");
    made.innerHTML = batch.rows;
    if (batch.more) {
      const row = made.content.appendChild(document.createElement("tr"));
      row.className = "more";
      row.setAttribute("role", "row");
      const cell = row.appendChild(document.createElement("td"));
      cell.setAttribute("role", "cell");
      cell.colSpan = 8;
      const link = cell.appendChild(document.createElement("a"));
      link.href = batch.show;
      link.textContent = `${batch.more} more: show`;
    }
    for (const row of made.content.children) row.classList.add("new");
    last = event.lastEventId;
    rows.prepend(made.content);
    empty.hidden = true;
    table.hidden = false;
    trim();
    if (!untold) setTimeout(tell, TELL_AFTER);
    untold += batch.count;
  }

  function trim() {
    while (rows.childElementCount > MOST_ROWS && !rows.lastElementChild.contains(document.activeElement)) {
      rows.lastElementChild.remove();
      older.hidden = false;
    }
    const bottom = [...rows.querySelectorAll("tr[data-id]")].pop();
    const link = new URL(older.href);
    link.searchParams.set("before", bottom.dataset.id);
    older.href = link;
  }

  function connect() {
    const address = new URL(live.dataset.events, location.href);
    address.searchParams.set("after", last);
    events = new EventSource(address);
    events.addEventListener("requests", add);
    events.onopen = () => { connection.textContent = "Waiting for requests"; };
    events.onerror = () => {
      connection.textContent = "The server reloads or has stopped; connecting again";
      if (events.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
    };
  }

  pause.addEventListener("click", () => {
    const pauses = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", pauses);
    pause.textContent = pauses ? "Go on" : "Pause";
    if (pauses) {
      events.close();
      connection.textContent = "Paused";
    } else {
      connect();
    }
  });
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => { if (event.persisted && pause.getAttribute("aria-pressed") !== "true") connect(); });
  connect();
}

// --- parts that follow: of the inbox, of jobs and of deliveries, as long as nobody pauses them ---

if (document.querySelector("[data-follows]:not([data-over])") && !("answersForm" in document.body.dataset)) followParts();

function followParts() {
  const pause = document.getElementById("pause");
  const news = document.body.appendChild(document.createElement("p"));
  news.className = "told";
  news.setAttribute("aria-live", "polite");
  let pauses = false;

  if (pause) {
    pause.addEventListener("click", () => {
      pauses = !pauses;
      pause.setAttribute("aria-pressed", pauses);
      pause.textContent = pauses ? "Go on" : "Pause";
    });
  }

  function text(part) {
    const copy = part.cloneNode(true);
    for (const each of copy.querySelectorAll("button.copies")) each.remove();
    return copy.textContent;
  }

  function replace(part, next) {
    const active = part.contains(document.activeElement) ? document.activeElement : null;
    const same = (each) => each.tagName === active.tagName && each.getAttribute("href") === active.getAttribute("href")
      && each.textContent === active.textContent;
    part.replaceChildren(...next.childNodes);
    showScripted(part);
    addCopyButtons(part);
    if (active) {
      const again = [...part.querySelectorAll("a, button, [tabindex]")].find(same);
      if (again) again.focus({ preventScroll: true });
    }
    const title = part.querySelector("h1");
    if (title) news.textContent = title.textContent;
  }

  async function look() {
    if (!pauses && !document.hidden) {
      try {
        const answer = await fetch(location.href);
        const page = new DOMParser().parseFromString(answer.ok ? await answer.text() : "", "text/html");
        for (const part of pauses ? [] : document.querySelectorAll("[data-follows]")) {
          const next = page.querySelector(`[data-follows="${part.dataset.follows}"]`);
          const selection = getSelection();
          const isSelected = !selection.isCollapsed && selection.containsNode(part, true);
          if (next && !isSelected && text(next) !== text(part)) replace(part, next);
        }
      } catch { // the server has stopped, or this page is being left
      }
    }
    setTimeout(look, LOOK_EVERY);
  }
  setTimeout(look, LOOK_EVERY);
}

// --- keys ---

function links() {
  return rows ? [...rows.querySelectorAll("td.url a, tr.more a")] : [];
}

function move(step) {
  const all = links();
  const at = all.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = all[at < 0 ? 0 : Math.min(Math.max(at + step, 0), all.length - 1)];
  if (next) {
    next.focus();
    next.closest("tr").scrollIntoView({ block: "nearest" });
  }
}

let replays = false; // one key replays once, until its answer is shown
addEventListener("pageshow", () => { replays = false; });

function replay(event) {
  const row = document.activeElement.closest("tr[data-id]");
  const id = row ? row.dataset.id : document.body.dataset.request;
  const button = document.getElementById("replay");
  if (!id || replays || event.repeat || (!row && (!button || button.disabled))) return;
  replays = true;
  const form = document.createElement("form");
  form.method = "post";
  form.action = `/_wixhttp/requests/${id}/replay`;
  const field = form.appendChild(document.createElement("input"));
  field.type = "hidden";
  field.name = "_token";
  field.value = token;
  document.body.append(form);
  form.submit();
}

const KEYS = {
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  j: () => move(1),
  k: () => move(-1),
  r: replay,
  "/": () => document.getElementById("search").select(),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
  const target = event.target;
  if (target.matches("input, textarea, select, [contenteditable]")) {
    if (event.key === "Escape" && target.id === "search") target.blur();
    return;
  }
  const isMove = event.key.startsWith("Arrow");
  if (isMove && (!rows || target.closest("pre, .region:not(#table)"))) return;
  if (event.key === "/" && !document.getElementById("search")) return;
  const act = KEYS[event.key];
  if (act) {
    event.preventDefault();
    act(event);
  }
});

// --- parts that open ---

function openPart() {
  const part = location.hash && document.getElementById(location.hash.slice(1));
  if (part instanceof HTMLDetailsElement) {
    part.open = true;
    const field = part.querySelector("textarea, input:not([type=hidden])");
    if (field) field.focus();
  }
}
addEventListener("hashchange", openPart);
for (const link of document.querySelectorAll("[data-opens]")) link.addEventListener("click", () => setTimeout(openPart));
openPart();
