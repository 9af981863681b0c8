// Answers stream into the page, as HTML that the service writes (answers.js); no text of a model is parsed here.
"use strict";

const form = document.getElementById("ask");
const region = document.getElementById("answer");
const announcement = document.getElementById("status");
const base = document.body.dataset.base; // the path of the service behind a proxy
let asking = null;

const slot = (card, name) => card.querySelector(`[data-slot="${name}"]`);
const collection = () => form.elements.collection.value;

function fill(card, name, text) {
  const place = slot(card, name);
  place.textContent = text;
  place.hidden = text === "";
  return place;
}

const cloned = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

// An answer

function badge(answer) {
  if (answer.source === "live") return "Written live";
  return { curated: "Written by the team", edited: "Prepared, edited by the team" }[answer.origin] || "Prepared";
}

function age(seconds) {
  for (const [unit, name] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    const count = Math.floor(seconds / unit);
    if (count) return `${count} ${name}${count > 1 ? "s" : ""} ago`;
  }
  return "just now";
}

function sourceItem(source) {
  const item = cloned("source-item");
  fill(item, "number", String(source.number));
  fill(item, "name", source.title || source.document_id);
  fill(item, "heading", source.heading || "");
  fill(item, "passage", source.passage || "").id = `source-${source.number}`;
  const where = slot(item, "where");
  const address = source.url || source.uri || source.document_id;
  const fields = Object.entries(source.metadata || {}).map(([name, values]) =>
    element("span", `${name}: ${values.join(", ")}`, { class: "field" }));
  where.replaceChildren(
    isWeb(address) ? element("a", address, { href: address, rel: "noopener noreferrer" }) : address,
    ...fields.flatMap((each) => [" ", each]));
  return item;
}

function complete(card, answer) {
  Object.assign(card.dataset, { source: answer.source, request: answer.id, key: answer.query_key });
  slot(card, "text").replaceChildren(answerNodes(answer.html));
  slot(card, "matched").hidden = !answer.matched_question;
  fill(card, "matched-question", answer.matched_question || "").href = `${base}/questions/${answer.query_key}`;
  slot(card, "cut").hidden = answer.finish_reason !== "length";
  slot(card, "caution").hidden = answer.source !== "live";
  const facts = [element("span", badge(answer), { class: "badge", lang: "en" })];
  if (answer.model) facts.push(element("span", answer.model));
  facts.push(element("time", age(answer.age_seconds), { lang: "en", dir: "ltr", datetime: answer.generated_at }));
  if (answer.source !== "live" && answer.listed !== false) facts.push(element("a", "Link to this answer", { href: `${base}/questions/${answer.query_key}` }));
  slot(card, "facts").replaceChildren(...facts.flatMap((each) => [each, " "]));
  slot(card, "facts").hidden = false;
  slot(card, "sources").hidden = answer.citations.length === 0;
  const cited = answer.citations.length > 0 && answer.citations[0].kind === "cited";
  slot(card, "sources-title").textContent = cited ? "Sources" : "Passages consulted";
  card.querySelector(".sources ol").replaceChildren(...answer.citations.map(sourceItem));
  openFeedback(card);
}

function refuse(problem, question) {
  const card = cloned("problem-card");
  fill(card, "title", problem.title || "It did not work");
  fill(card, "detail", problem.detail || "");
  const team = problem.handover || {};
  const words = team.text && team.text !== problem.detail ? [team.text, " "] : [];
  const link = team.url ? [element("a", team.url, { href: team.url, rel: "noopener noreferrer" })] : [];
  slot(card, "handover").replaceChildren(...words, ...link);
  slot(card, "handover").hidden = words.length + link.length === 0;
  const near = problem.suggestions || [];
  slot(card, "suggestions").hidden = near.length === 0;
  slot(card, "suggestions").querySelector("ul").replaceChildren(...near.map((each) => {
    const item = document.createElement("li");
    item.append(element("a", each.question, { href: `${base}/questions/${each.query_key}` }));
    return item;
  }));
  card.querySelector('[data-do="again"]').addEventListener("click", () => ask(question));
  region.replaceChildren(card);
}

// What was shown meanwhile is taken away: it is not reliable, or somebody has withheld it.
function decline(told, question) {
  const title = told.source === "unreliable" ? "No reliable answer" : "Not answered here";
  refuse({ title, detail: told.answer, suggestions: told.suggestions, handover: told.handover }, question);
  region.firstElementChild.dataset.source = told.source;
  region.querySelector('[data-do="again"]').hidden = told.source === "withheld";
}

// Asking

async function ask(question) {
  if (asking) asking.abort();
  const mine = (asking = new AbortController());
  const card = cloned("answer-card");
  fill(card, "question", question);
  region.setAttribute("aria-busy", "true");
  region.replaceChildren(card);
  card.scrollIntoView({ block: "nearest" });
  announcement.textContent = "Looking for the answer.";
  mine.question = question;
  nameButton();
  try {
    await follow(card, question, mine.signal);
    announcement.textContent = "";
  } catch (error) {
    if (asking !== mine) return; // another question has taken the place
    if (mine.signal.aborted) announcement.textContent = "Stopped.";
    else refuse(error.problem || UNREACHABLE, question);
  } finally {
    if (asking === mine) {
      asking = null;
      region.setAttribute("aria-busy", "false");
      nameButton();
    }
  }
}

function nameButton() {
  const stops = asking && asking.question === form.elements.question.value.trim();
  form.querySelector("button").textContent = stops ? "Stop" : "Ask";
}

const UNREACHABLE = { title: "The service can't be reached", detail: "The connection broke off. Ask again in a moment." };

function problemError(problem) {
  return Object.assign(new Error(problem.title), { problem });
}

async function follow(card, question, signal) {
  const response = await post(`${base}/v1/answers`, { question, collection: collection(), stream: true, html: true }, signal);
  if (!response.ok) throw problemError(await response.json());
  for await (const [event, data] of events(response.body)) {
    if (event === "start" && data.source === "live") announcement.textContent = "Writing an answer.";
    else if (event === "delta" && data.html) slot(card, "text").replaceChildren(answerNodes(data.html));
    else if (event === "problem") throw problemError(data);
    else if (event === "unreliable" || event === "withheld") return decline(data, question);
    else if (event === "answer") return complete(card, data);
  }
  throw problemError(UNREACHABLE);
}

// Feedback

function openFeedback(card) {
  const feedback = slot(card, "feedback");
  if (!feedback) return;
  feedback.hidden = false;
  const about = { request_id: card.dataset.request, collection: collection() };
  const differs = card.querySelector('[data-do="differs"]');
  for (const button of feedback.querySelectorAll("[data-helpful]")) {
    button.addEventListener("click", () => judge(feedback, about, button.dataset.helpful === "true"));
  }
  feedback.addEventListener("submit", async (event) => {
    event.preventDefault();
    const comment = feedback.elements.comment.value.trim();
    if (comment && (await tell(feedback, { ...about, comment }))) slot(feedback, "comment").hidden = true;
  });
  if (differs) differs.addEventListener("click", async () => {
    const question = slot(card, "question").textContent;
    const hit = { question, query_key: card.dataset.key };
    if (await tell(feedback, { ...about, false_hit: hit })) ask(question);
  });
}

async function judge(feedback, about, helpful) {
  if (!(await tell(feedback, { ...about, helpful }))) return;
  slot(feedback, "asking").parentElement.hidden = true;
  slot(feedback, "comment").hidden = helpful;
  if (!helpful) feedback.elements.comment.focus();
}

async function tell(feedback, said) {
  const sent = await post(`${base}/v1/feedback`, said).then((response) => response.ok, () => false);
  slot(feedback, "thanks").textContent = sent ? "Thank you." : "That could not be sent; try again in a moment.";
  return sent;
}

// The page

if (form) {
  const box = form.elements.question;
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
  for (const card of region.querySelectorAll(".answer")) openFeedback(card);
}

region.addEventListener("click", (event) => {
  const reference = event.target.closest(".reference");
  const passage = reference && document.getElementById(reference.hash.slice(1));
  if (passage) passage.closest("details").open = true; // before the browser scrolls to it
});
