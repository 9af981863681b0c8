// A question box for other sites' pages: <script src=".../widget.js" data-collection="..." async></script>
// It lives in a shadow root, so that neither page nor widget changes the other; docs/widget.md says how to dress it.
const script = document.currentScript;
const service = script.src.replace(/\/widget\.js(\?.*)?$/, "");
const options = script.dataset;
const words = {
  title: "Ask a question", placeholder: "", ask: "Ask", stop: "Stop", looking: "Looking for the answer.",
  writing: "Writing an answer.", stopped: "Stopped.", sources: "Sources", consulted: "Passages consulted",
  matched: "Answered from a question that asks the same:", live: "Nobody has checked this answer yet; read its sources before you rely on it.",
  cut: "The answer was cut off here.", helpful: "Did this help?", yes: "Yes", no: "No", thanks: "Thank you.",
  unsent: "That could not be sent; try again in a moment.", suggestions: "These are answered already:",
  unanswered: "Not answered here", unreliable: "No reliable answer", unreachable: "The service can't be reached",
  later: "Ask again in a moment.",
};
for (const name of Object.keys(words)) words[name] = given()[name] ?? words[name];

function given() {
  try {
    return JSON.parse(options.words || "{}");
  } catch {
    console.warn("beforehand: data-words is not JSON; it keeps its own words.");
    options.words = "{}";
    return {};
  }
}

const COLOURS = {
  accent: ["#0b5d57", "#74cabe"], "on-accent": ["#fff", "#0c1b19"], paper: ["#fff", "#1b1f23"], ink: ["#1c2226", "#e4e7e9"],
  soft: ["#565f67", "#a3acb4"], line: ["#e3e0d9", "#30363c"], edge: ["#868c92", "#747d86"], code: ["#f3f2ee", "#23282d"],
};
const coloured = (dark) => Object.entries(COLOURS).map(([name, pair]) =>
  `--${name}: var(--beforehand-${name}, ${pair[+dark]});`).join("") + `color-scheme: ${dark ? "dark" : "light"};`;
// STYLE is widget.css, which the service puts in front.
const THEMES = `:host { ${coloured(false)} }
  :host([data-theme="dark"]) { ${coloured(true)} }
  @media (prefers-color-scheme: dark) { :host([data-theme="auto"]) { ${coloured(true)} } }`;

function within(name, attributes, ...children) {
  const made = element(name, "", attributes);
  made.append(...children);
  return made;
}

const fill = (...children) => region.replaceChildren(...children.filter((each) => each));
const note = (text) => within("p", { class: "note" }, element("bdi", text));

const outside = { target: "_blank", rel: "noopener noreferrer" };
const form = within("form", { autocomplete: "off" });
const box = element("textarea", "", { id: "question", rows: "1", maxlength: "2000", required: "", enterkeyhint: "send", placeholder: words.placeholder, dir: "auto" });
const button = element("button", words.ask, { type: "submit" });
const announcement = element("p", "", { class: "unseen", role: "status" });
const region = element("div", "", { id: "answer", "aria-live": "polite", "aria-busy": "false" });
let asking = null;

form.append(element("label", words.title, { for: "question" }), within("div", { class: "field" }, box, button));

const address = (source) => source.url || source.uri || "";

function sourceList(answer) {
  if (!answer.citations.length) return null;
  const items = answer.citations.map((source) => {
    const name = [source.title || source.document_id, source.heading].filter((each) => each).join(" › ");
    const shown = isWeb(address(source)) ? element("a", name, { href: address(source), ...outside }) : element("span", name);
    shown.dir = "auto";
    return within("li", { id: `source-${source.number}` }, element("b", source.number), shown);
  });
  const title = answer.citations[0].kind === "cited" ? words.sources : words.consulted;
  return within("section", { class: "sources" }, note(title), within("ol", {}, ...items));
}

// A page's fragment does not lead into a shadow root: a reference leads to its source itself, or to its line below.
function leadOut(text, citations) {
  for (const link of text.querySelectorAll("a")) {
    if (link.className !== "reference") link.target = "_blank";
    const source = citations.find((each) => link.getAttribute("href") === `#source-${each.number}`);
    if (!source) continue;
    link.title = source.title || source.document_id;
    if (isWeb(address(source))) Object.assign(link, { href: address(source), ...outside });
    else link.addEventListener("click", (event) => {
      event.preventDefault();
      region.querySelector(link.hash).scrollIntoView({ block: "nearest" });
    });
  }
}

function verdict(answer) {
  const line = within("p", { class: "verdict" }, element("bdi", words.helpful));
  for (const helpful of [true, false]) {
    const choice = element("button", helpful ? words.yes : words.no, { type: "button", class: "quiet" });
    choice.addEventListener("click", async () => {
      const said = { request_id: answer.id, collection: answer.collection, helpful };
      const sent = await post(`${service}/v1/feedback`, said).then((response) => response.ok, () => false);
      announcement.textContent = sent ? words.thanks : words.unsent;
      if (!sent) return line.append(element("span", words.unsent));
      line.replaceChildren(element("span", words.thanks, { tabindex: "-1" }));
      line.firstChild.focus();
    });
    line.append(choice);
  }
  return line;
}

function show(answer, text) {
  text.replaceChildren(answerNodes(answer.html));
  leadOut(text, answer.citations);
  fill(
    region.querySelector("h2"),
    answer.matched_question && note(`${words.matched} ${answer.matched_question}`),
    text,
    answer.finish_reason === "length" && note(words.cut),
    answer.source === "live" && note(words.live),
    sourceList(answer),
    verdict(answer),
  );
}

function decline(title, detail, told = {}) {
  const team = told.handover || {};
  const near = (told.suggestions || []).map((each) => {
    const choice = element("button", each.question, { type: "button", class: "link", dir: "auto" });
    choice.addEventListener("click", () => {
      box.value = each.question;
      ask(each.question).then(() => region.querySelector("h2")?.focus());
    });
    return within("li", {}, choice);
  });
  fill(
    element("h2", title, { tabindex: "-1" }),
    within("p", {}, element("bdi", detail)),
    team.text && team.text !== detail && within("p", {}, element("bdi", team.text)),
    team.url && within("p", {}, element("a", team.url, { href: team.url, ...outside })),
    near.length && within("div", {}, note(words.suggestions), within("ul", { class: "near" }, ...near)),
  );
}

async function ask(question) {
  asking?.abort();
  const mine = (asking = new AbortController());
  mine.question = question;
  const text = element("div", "", { class: "text", dir: "auto" });
  region.setAttribute("aria-busy", "true");
  region.replaceChildren(element("h2", question, { tabindex: "-1", dir: "auto" }), text);
  announcement.textContent = words.looking;
  nameButton();
  try {
    await follow(question, text, mine.signal);
    announcement.textContent = "";
  } catch (error) {
    if (asking !== mine) return; // another question has taken the place
    if (mine.signal.aborted) announcement.textContent = words.stopped;
    else if (error.problem) decline(error.problem.title, error.problem.detail, error.problem);
    else {
      decline(words.unreachable, words.later);
      console.warn(`beforehand: ${service} gave no answer; does its setting [service] allowed_origins list ${location.origin}?`);
    }
  } finally {
    if (asking === mine) {
      asking = null;
      region.setAttribute("aria-busy", "false");
      nameButton();
    }
  }
}

function nameButton() {
  button.textContent = asking && asking.question === box.value.trim() ? words.stop : words.ask;
}

async function follow(question, text, signal) {
  const wanted = { question, stream: true, html: true };
  if (options.collection) wanted.collection = options.collection;
  const response = await post(`${service}/v1/answers`, wanted, signal);
  if (!response.ok) throw Object.assign(new Error(), { problem: await response.json() });
  for await (const [event, data] of events(response.body)) {
    if (event === "start" && data.source === "live") announcement.textContent = words.writing;
    else if (event === "delta" && data.html) text.replaceChildren(answerNodes(data.html));
    else if (event === "problem") throw Object.assign(new Error(), { problem: data });
    else if (event === "answer") return show(data, text);
    else if (event === "withheld") return decline(words.unanswered, data.answer, data);
    else if (event === "unreliable") return decline(words.unreliable, data.answer, data);
  }
  throw new Error("the stream broke off");
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const question = box.value.trim();
  if (asking && question === asking.question) asking.abort();
  else if (question) ask(question);
});
box.addEventListener("input", nameButton);
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  if (!asking || box.value.trim() !== asking.question) form.requestSubmit(); // Enter twice is no wish to stop
});

function mount() {
  const place = options.target && document.querySelector(options.target);
  if (options.target && !place) console.warn(`beforehand: no ${options.target} on this page; it stands where its script does.`);
  const host = element("beforehand-widget", "", { "data-theme": options.theme || "light" });
  const sheet = new CSSStyleSheet(); // a style element would need the page's policy to allow inline styles
  sheet.replaceSync(THEMES + STYLE);
  const root = host.attachShadow({ mode: "open" });
  root.adoptedStyleSheets = [sheet];
  root.append(within("section", { class: "box", "aria-label": words.title }, form, announcement, region));
  if (place) place.append(host);
  else if (document.body.contains(script)) script.after(host);
  else document.body.append(host);
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", mount);
else mount();
