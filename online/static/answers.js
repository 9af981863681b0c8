// What the FAQ page and the widget share: an answer's HTML as nodes, and the events of a stream.
"use strict";

// The service writes this HTML from a closed list of elements (online/answering/safe_html.py). It is read into a
// document in which nothing runs, and only what is on the same list here is made anew: no text is trusted twice.
const ELEMENTS = new Set("P H3 H4 H5 H6 UL OL LI BLOCKQUOTE HR TABLE THEAD TBODY TR TH TD STRONG EM S CODE PRE BR A DIV".split(" "));
const CLASSES = new Set(["reference", "scroll", "right", "center"]);
const LEADS = /^(https?:\/\/[^\s/]|mailto:|tel:|#[a-z]+-\d+$)/i;
const policy = self.trustedTypes?.createPolicy?.("beforehand", { createHTML: (html) => html });

function answerNodes(html) {
  const parsed = new DOMParser().parseFromString(policy ? policy.createHTML(html) : html, "text/html");
  const made = document.createDocumentFragment();
  copyNodes(parsed.body, made);
  return made;
}

function copyNodes(from, to) {
  for (const node of from.childNodes) {
    if (node.nodeType === Node.TEXT_NODE) to.append(node.data);
    if (node.nodeType !== Node.ELEMENT_NODE) continue;
    if (!ELEMENTS.has(node.tagName)) {
      copyNodes(node, to);
      continue;
    }
    const copy = document.createElement(node.tagName);
    if (CLASSES.has(node.className)) copy.className = node.className;
    if (node.tabIndex === 0 && node.tagName !== "A") copy.tabIndex = 0;
    if (node.start > 1) copy.start = node.start;
    if (node.tagName === "A" && LEADS.test(node.getAttribute("href"))) {
      copy.setAttribute("href", node.getAttribute("href"));
      if (node.rel) copy.rel = node.rel;
    }
    copyNodes(node, copy);
    to.append(copy);
  }
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const isWeb = (address) => /^https?:\/\/[^\s/]/i.test(address);

function post(address, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal });
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    buffer += value;
    const parts = buffer.split("\n\n");
    buffer = parts.pop();
    for (const part of parts) {
      const lines = part.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `)).map((line) => line.slice(name.length + 2)).join("\n");
      yield [field("event"), JSON.parse(field("data"))];
    }
  }
}
