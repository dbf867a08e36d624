"use strict";
// The view's side of MCP Apps: JSON-RPC 2.0 with the host by postMessage (SEP-1865, revision 2026-01-26).
// All that is shown was written by a stranger's server, so it becomes text nodes and nothing else.
(() => {
  const STATUSES = ["fail", "warn", "error", "skip", "pass"];
  const FILTERS = ["status", "role", "level"];
  const LEVELS = ["MUST", "SHOULD", "MAY", "advice"];
  const HIDDEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu; // escapes, line ends, direction marks
  const MOST = 1000; // checks shown
  const host = window.parent;
  const pending = new Map();
  const at = (id) => document.getElementById(id);
  let requests = 0;
  let openLinks = false;
  let checks = [];

  // ---- text and elements

  const words = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value ?? ""));
  const plain = (value) =>
    words(value).replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16).padStart(4, "0")}}`);

  const element = (tag, name, text, ...children) => {
    const made = document.createElement(tag);
    if (name) made.className = name;
    if (text !== undefined) made.textContent = plain(text);
    made.append(...children);
    return made;
  };

  const list = (value) => (Array.isArray(value) ? value : []);
  const known = (value, names) => (names.includes(value) ? value : "other");
  const rank = (value, names) => (names.includes(value) ? names.indexOf(value) : names.length);

  // ---- the report

  const show = (report) => {
    checks = list(report.checks)
      .slice(0, MOST)
      .filter((check) => check !== null && typeof check === "object")
      .sort((a, b) => rank(a.status, STATUSES) - rank(b.status, STATUSES) || rank(a.level, LEVELS) - rank(b.level, LEVELS));
    at("target").textContent = plain(report.target);
    const when = words(report.started_at).replace("T", " ").replace("+00:00", " UTC");
    at("about").textContent = plain(`MCP ${words(report.spec_version)} · depth ${words(report.depth)} · ${when}`);
    at("score").replaceChildren(score(), chips());
    const left = list(report.left);
    at("left").hidden = left.length === 0;
    at("left").replaceChildren(
      element("h2", "", "Left at the server"),
      element("ul", "", undefined, ...left.map((sentence) => element("li", "", sentence))),
    );
    for (const name of FILTERS) options(name);
    filter();
    at("waiting").hidden = true;
    at("report").hidden = false;
  };

  const count = (status, level) =>
    checks.filter((check) => check.status === status && (!level || check.level === level)).length;

  // What was judged counts: a skip or an error says nothing about the server.
  const kept = (level) => {
    const met = count("pass", level);
    return [met, met + count("fail", level) + count("warn", level)];
  };

  const score = () => {
    const [met, judged] = kept();
    const bar = element("progress", count("fail") ? "fail" : count("warn") ? "warn" : "pass");
    bar.max = judged || 1;
    bar.value = met;
    bar.setAttribute("aria-label", "Rules kept");
    const levels = LEVELS.map((level) => [level, ...kept(level)])
      .filter(([, , of]) => of)
      .map(([level, of, all]) => `${level} ${of}/${all}`);
    return element(
      "div",
      "total",
      undefined,
      element("p", "percent", judged ? `${Math.floor((100 * met) / judged)} %` : "–"),
      element("p", "", `${met} of ${judged} judged rules kept`),
      bar,
      element("p", "muted", levels.join(" · ")),
    );
  };

  const chips = () => {
    const made = STATUSES.map((status) => {
      const chip = element("button", `chip ${status}`, `${count(status)} ${status}`);
      chip.type = "button";
      chip.addEventListener("click", () => {
        at("status").value = at("status").value === status ? "" : status;
        filter();
      });
      return chip;
    });
    return element("div", "chips", undefined, ...made);
  };

  const options = (name) => {
    const order = { status: STATUSES, level: LEVELS, role: [] }[name];
    const found = [...new Set(checks.map((check) => words(check[name])))];
    found.sort((a, b) => rank(a, order) - rank(b, order) || a.localeCompare(b));
    const made = ["", ...found].map((value) => {
      const option = element("option", "", value || "all");
      option.value = value;
      return option;
    });
    at(name).replaceChildren(...made);
  };

  const filter = () => {
    const wanted = FILTERS.map((name) => [name, at(name).value]).filter(([, value]) => value);
    const found = checks.filter((check) => wanted.every(([name, value]) => words(check[name]) === value));
    at("shown").textContent = found.length === checks.length ? `${found.length} checks` : `${found.length} of ${checks.length} checks`;
    at("checks").replaceChildren(...found.map(item));
    for (const chip of document.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", String(chip.classList.contains(at("status").value)));
    }
  };

  const item = (check) => {
    const status = known(check.status, STATUSES);
    const head = element(
      "summary",
      "",
      undefined,
      element("span", `badge ${status}`, check.status),
      element("span", "level", check.level),
      element("span", "title", check.title),
    );
    const body = [element("p", "seen", check.summary)];
    for (const exchange of list(check.evidence)) body.push(evidence(exchange ?? {}));
    if (check.status !== "pass") body.push(element("p", "fix", undefined, element("b", "", "Fix "), element("span", "", check.fix)));
    body.push(
      element("p", "muted", undefined, ...list(check.sources).flatMap((source) => [link(source ?? {}), element("br")])),
      element("p", "muted", `${plain(check.id)} · ${plain(check.role)} · ${plain(check.family)}`),
    );
    const made = element("details", `check ${status}`, undefined, head, ...body);
    made.open = check.status === "fail";
    return made;
  };

  const evidence = (exchange) => {
    const lines = [element("code", "request", `${plain(exchange.request)} → ${plain(exchange.status)}`)];
    if (exchange.seen) lines.push(element("code", "", exchange.seen));
    if (exchange.excerpt) lines.push(element("pre", "", exchange.excerpt));
    return element("div", "evidence", undefined, ...lines);
  };

  // A frame cannot open a page itself: the host does, where it can, and shows the person where it leads.
  const link = (source) => {
    const text = `${plain(source.document)}, ${plain(source.section)}`;
    const url = words(source.url);
    if (!openLinks || !url.startsWith("https://")) return element("span", "", `${text}: ${plain(url)}`);
    const made = element("button", "link", text);
    made.type = "button";
    made.title = plain(url);
    made.addEventListener("click", () => request("ui/open-link", { url }).catch(() => {}));
    return made;
  };

  const say = (sentence) => {
    at("waiting").textContent = plain(sentence);
    at("waiting").hidden = false;
    at("report").hidden = true;
  };

  // ---- the host

  const send = (message) => host.postMessage({ jsonrpc: "2.0", ...message }, "*");

  const request = (method, params) =>
    new Promise((resolve, reject) => {
      requests += 1;
      pending.set(requests, { resolve, reject });
      send({ id: requests, method, params });
    });

  const dress = (context) => {
    const root = document.documentElement;
    if (context?.theme === "light" || context?.theme === "dark") root.style.colorScheme = context.theme;
    for (const [name, value] of Object.entries(context?.styles?.variables ?? {})) {
      if (/^--[a-z0-9-]+$/.test(name) && typeof value === "string") root.style.setProperty(name, value);
    }
  };

  const notifications = {
    "ui/notifications/tool-input": ({ arguments: given }) =>
      say(`Checking ${given?.server_url || "this server"}, depth ${given?.depth || "passive"}…`),
    "ui/notifications/tool-result": (result) => {
      if (!result.isError && Array.isArray(result.structuredContent?.checks)) show(result.structuredContent);
      else say(list(result.content).map((block) => block?.text ?? "").join(" ") || "The tool returned no report.");
    },
    "ui/notifications/tool-cancelled": () => say("The check was cancelled."),
    "ui/notifications/host-context-changed": dress,
  };

  const answer = (id, method) => {
    if (method === "ping" || method === "ui/resource-teardown") send({ id, result: {} });
    else send({ id, error: { code: -32601, message: "Method not found" } });
  };

  window.addEventListener("message", (event) => {
    const message = event.data;
    if (event.source !== host || message?.jsonrpc !== "2.0") return;
    if (typeof message.method === "string") {
      if (message.id !== undefined) answer(message.id, message.method);
      else if (Object.hasOwn(notifications, message.method)) notifications[message.method](message.params ?? {});
      return;
    }
    const waiting = pending.get(message.id);
    pending.delete(message.id);
    if (message.error) waiting?.reject(new Error(message.error.message));
    else waiting?.resolve(message.result);
  });

  const start = async () => {
    const welcome = await request("ui/initialize", {
      protocolVersion: "2026-01-26",
      appInfo: { name: "oauth-compliance-report", version: "1.0.0" },
      appCapabilities: { availableDisplayModes: ["inline", "fullscreen"] },
    });
    openLinks = Boolean(welcome?.hostCapabilities?.openLinks);
    dress(welcome?.hostContext);
    send({ method: "ui/notifications/initialized", params: {} });
    new ResizeObserver(() => {
      const { width, height } = document.body.getBoundingClientRect();
      send({ method: "ui/notifications/size-changed", params: { width: Math.ceil(width), height: Math.ceil(height) } });
    }).observe(document.body);
  };

  for (const name of FILTERS) at(name).addEventListener("change", filter);
  start().catch((error) => say(`The host did not answer: ${error.message}`));
})();
