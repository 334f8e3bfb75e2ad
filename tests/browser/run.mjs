// The daemon's pages in headless Chromium. tests/it/pages/browser.rs starts the pages and runs one case with each test; what it
// says stands in ABOUT. Any script error, failed request or word from the browser's console fails a case.
import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { createRequire } from "node:module";
import puppeteer from "puppeteer-core";

const about = JSON.parse(process.env.ABOUT);
const axeSource = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const wrong = [];
let links = [...about.links];

fs.mkdirSync(about.shots, { recursive: true });
const browser = await puppeteer.launch({
  executablePath: about.chromium,
  // Chromium's own sandbox needs rights that a container's root lacks; the pages here are our own.
  protocolTimeout: 30000,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

/** A page whose errors count. */
const open = async (context = browser) => {
  const page = await context.newPage();
  page.setDefaultTimeout(15000);
  await page.setViewport({ width: 1280, height: 800 });
  // A peer's own pages load what they like, and may say what they like of it.
  const foreign = () => about.more.peer && page.url().startsWith(about.more.peer);
  page.on("pageerror", (error) => wrong.push(`script error on ${page.url()}: ${error.message}`));
  page.on("console", (message) => {
    if (foreign()) return;
    // That a page has an error's status is what some cases ask for.
    const status = /the server responded with a status of 4/.test(message.text());
    if (["error", "warn"].includes(message.type()) && !status) wrong.push(`console on ${page.url()}: ${message.text()}`);
  });
  page.on("requestfailed", (request) => {
    if (foreign()) return;
    const cut = ["net::ERR_ABORTED", "net::ERR_NETWORK_IO_SUSPENDED"].includes(request.failure()?.errorText);
    if (!cut) wrong.push(`request failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  return page;
};

const go = (page, to) => page.goto(about.origin + to, { waitUntil: "load" });
const text = (page) => page.evaluate(() => document.body.innerText);
const path_of = (page) => page.url().replace(about.origin, "");

const sign_in = async (page) => {
  await page.goto(links.pop(), { waitUntil: "load" });
  await Promise.all([page.waitForNavigation(), page.click("button.primary")]);
};

const shot = (page, name) => page.screenshot({ path: path.join(about.shots, `${name}.png`), fullPage: true });

/** No violation that axe knows, in what is shown now. */
const accessible = async (page, name) => {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of violations) {
    const where = violation.nodes.slice(0, 4).map((node) => `${node.target.join(" ")}: ${node.failureSummary}`);
    wrong.push(`axe on ${name}: ${violation.id}: ${violation.help}\n    ${where.join("\n    ")}`);
  }
};

/** Nothing lies outside of the width: no page scrolls sideways. */
const fits = async (page, name) => {
  const over = await page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return null;
    const wide = [...document.querySelectorAll("body *")].filter((it) => it.getBoundingClientRect().right > width + 1);
    return `${document.documentElement.scrollWidth} > ${width}: ${wide.slice(0, 5).map((it) => `${it.tagName}.${it.className}`).join(", ")}`;
  });
  if (over) wrong.push(`${name} is wider than the window: ${over}`);
};

/** Everything that can be used is reached with Tab, and shows that it has the focus. */
const reachable = async (page, name) => {
  const wanted = await page.evaluate(() => {
    document.activeElement?.blur();
    const all = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")];
    const usable = all.filter((it) => it.type !== "hidden" && !it.disabled && it.checkVisibility() && (it.type !== "radio" || it.checked));
    usable.forEach((it, at) => (it.dataset.wanted = at));
    window.getSelection().removeAllRanges();
    return usable.length;
  });
  const reached = new Set();
  await page.evaluate(() => window.scrollTo(0, 0));
  for (let presses = 0; presses < wanted * 3 + 10 && reached.size < wanted; presses++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const it = document.activeElement;
      if (!it || it === document.body || it.dataset.wanted === undefined) return null;
      const style = getComputedStyle(it);
      const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
      return { at: it.dataset.wanted, seen, what: it.outerHTML.slice(0, 120) };
    });
    if (!at) continue;
    reached.add(at.at);
    if (!at.seen) wrong.push(`${name}: the focus is not seen on ${at.what}`);
  }
  if (reached.size < wanted) {
    const lost = await page.evaluate(
      (reached) => [...document.querySelectorAll("[data-wanted]")].filter((it) => !reached.includes(it.dataset.wanted)).map((it) => it.outerHTML.slice(0, 120)),
      [...reached],
    );
    wrong.push(`${name}: not reached with Tab: ${lost.join(" | ")}`);
  }
};

/** Presses Tab until something has the focus. */
const tab_to = async (page, matches, most = 200) => {
  for (let presses = 0; presses < most; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(matches)) return;
  }
  assert.fail(`nothing on ${page.url()} that Tab reaches is ${matches}`);
};

/** Uses what has the focus, with Enter, and waits for the page that comes. */
const enter = (page) => Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.keyboard.press("Enter")]);

/** Goes to something with Tab and uses it. `wanted` is its text, or a selector after "css:". */
const use = async (page, wanted) => {
  const found = wanted.startsWith("css:")
    ? (selector) => document.activeElement.matches(selector)
    : (words) => document.activeElement.matches("a, button") && document.activeElement.innerText.trim() === words;
  await page.evaluate(() => document.activeElement?.blur());
  for (let presses = 0; presses < 120; presses++) {
    await page.keyboard.press("Tab");
    if (await page.evaluate(found, wanted.replace("css:", ""))) return enter(page);
  }
  assert.fail(`Tab reaches no ${wanted} on ${page.url()}: ${(await text(page)).slice(0, 400)}`);
};

/** Goes to a field with Tab and types over what is in it. */
const fill = async (page, id, words) => {
  for (let presses = 0; presses < 120; presses++) {
    await page.keyboard.press("Tab");
    if ((await page.evaluate(() => document.activeElement.id)) !== id) continue;
    await page.keyboard.down("Control");
    await page.keyboard.press("KeyA");
    await page.keyboard.up("Control");
    return page.keyboard.type(words);
  }
  assert.fail(`Tab reaches no ${id} on ${page.url()}`);
};

/** One of our pages, as it is passed: what it says, how it looks in light, dark and on a phone, and that everybody can use it. */
const passed = async (page, name, words) => {
  assert.ok(page.url().startsWith(about.origin), `${name} is ours: ${page.url()}`);
  assert.match(await text(page), words, name);
  for (const [look, width, scheme] of [["light", 1280, "light"], ["dark", 1280, "dark"], ["phone", 390, "light"]]) {
    await page.setViewport({ width, height: 800 });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await shot(page, `round-${name}-${look}`);
    await accessible(page, `${name} (${look})`);
    await fits(page, `${name} (${look})`);
  }
  await page.setViewport({ width: 1280, height: 800 });
};

const cases = {
  async sign_in() {
    for (const origin of [about.origin, about.origin.replace("127.0.0.1", "localhost")]) {
      const context = await browser.createBrowserContext();
      const page = await open(context);
      await page.goto(links.pop().replace(about.origin, origin), { waitUntil: "load" });
      assert.match(await text(page), /This link signs one browser in, once/);
      // With the keyboard alone: the button has the focus.
      await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
      assert.equal(await page.title(), "Overview · Grantkeeper");
      const [cookie] = (await context.cookies()).filter((cookie) => cookie.name === "__Host-grantkeeper");
      assert.ok(cookie.secure && cookie.httpOnly && cookie.sameSite === "Lax" && cookie.path === "/", JSON.stringify(cookie));
      assert.equal(await page.evaluate(() => document.cookie), "", "no script reads it");
      await Promise.all([page.waitForNavigation(), page.click(".foot button")]);
      assert.match(page.url(), /\/sign-in$/);
      await page.goto(`${origin}/tokens?q=crm`, { waitUntil: "load" });
      assert.match(page.url(), /\/sign-in\?to=/);
      await page.type("#password", "not the password");
      await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
      assert.match(await text(page), /This is not the administrator's password/);
      await page.type("#password", about.password);
      await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
      assert.equal(page.url(), `${origin}/tokens?q=crm`, "back where it was wanted");
      await context.close();
    }
  },

  async every_page() {
    const page = await open();
    const looks = [
      ["light", 1280, "light"],
      ["dark", 1280, "dark"],
      ["phone", 390, "light"],
      ["phone-dark", 390, "dark"],
    ];
    let signed_in = false;
    for (const [name, to] of Object.entries(about.more.pages)) {
      if (!signed_in && name !== "sign-in") {
        await sign_in(page);
        signed_in = true;
      }
      for (const [look, width, scheme] of looks) {
        await page.setViewport({ width, height: width === 390 ? 844 : 800, deviceScaleFactor: width === 390 ? 2 : 1 });
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await go(page, to);
        assert.equal(path_of(page), to, `${name} is where it should be`);
        await page.evaluate(() => document.fonts.ready);
        await shot(page, `${name}-${look}`);
        await accessible(page, `${name} (${look})`);
        await fits(page, `${name} (${look})`);
        if (scheme === "light") await reachable(page, `${name} (${look})`);
      }
      const outline = await page.evaluate(() => [...document.querySelectorAll("h1")].length);
      assert.equal(outline, 1, `${name} has one heading of the first level`);
    }
  },

  async live() {
    const watching = await open();
    await sign_in(watching);
    await go(watching, "/tokens?q=google-drive/ann");
    await watching.waitForSelector("#live[data-on='yes']");
    await watching.evaluate(() => {
      window.same = true;
      document.querySelector("#rows tr a.name").focus();
    });
    const before = await watching.$$eval("#rows tr", (rows) => rows.map((row) => row.dataset.is));
    // Somebody else, in a window of their own: this one stays in sight.
    const acting = await open(await browser.createBrowserContext());
    await sign_in(acting);
    await go(acting, "/connections/google-drive/ann");
    await Promise.all([acting.waitForNavigation(), acting.click("form[action$='/refresh'] button")]);
    assert.match(await text(acting), /a new access token is here/);
    await watching.waitForFunction(
      (before) => [...document.querySelectorAll("#rows tr")].some((row) => !before.includes(row.dataset.is)),
      { timeout: 5000, polling: 100 },
      before,
    );
    assert.equal(await watching.evaluate(() => document.hidden), false, "it was in sight");
    assert.ok(await watching.evaluate(() => window.same), "without a reload");
    assert.equal(await watching.evaluate(() => document.activeElement.className), "name", "the focus stays");
    await go(acting, "/connections/google-drive/ann/revoke");
    await Promise.all([acting.waitForNavigation(), acting.click("button.danger-fill")]);
    await watching.waitForFunction(() => document.querySelector("#rows").innerText.includes("Revoked"), { timeout: 5000, polling: 100 });
    assert.ok(await watching.evaluate(() => window.same));
  },

  async keyboard() {
    const page = await open();
    await sign_in(page);
    await go(page, "/tokens");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main", "past the rail");
    await tab_to(page, () => document.activeElement.id === "q");
    await page.keyboard.type("quickbooks");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.equal(path_of(page).split("&")[0], "/tokens?q=quickbooks");
    await tab_to(page, () => document.activeElement.matches(".exact"));
    const tip = await page.evaluate(() => {
      const tip = document.activeElement.closest(".left").querySelector(".tip");
      return tip.checkVisibility() && tip.innerText;
    });
    assert.match(tip, /^2026-11-23 13:00:00 UTC/, "the exact time shows on focus");
    await shot(page, "tokens-tip");
    await accessible(page, "tokens with an exact time");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    await tab_to(page, () => document.activeElement.matches("form button.primary"));
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.match(await text(page), /The new end holds until the next refresh/);
    await tab_to(page, () => document.activeElement.innerText === "Revoke access");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    await tab_to(page, () => document.activeElement.matches("button.danger-fill"));
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.match(await text(page), /quickbooks\/ledger is revoked[^]*What the provider said/);
    await shot(page, "revoked");
    await accessible(page, "revoked");
  },

  async application() {
    const page = await open();
    await sign_in(page);
    await go(page, "/applications");
    await Promise.all([page.waitForNavigation(), page.click("a.primary")]);
    await page.type("#q", "github");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    await tab_to(page, () => document.activeElement.getAttribute("href") === "/new-application?provider=github");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    await page.$eval("#name", (it) => (it.value = ""));
    await page.type("#name", "Git Hub");
    await page.type("#client_id", "Iv1.0123");
    await page.type("#client_secret", "a secret");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.equal(await page.$eval("#name", (it) => it.getAttribute("aria-invalid")), "true");
    assert.match(await page.$eval("#name-wrong", (it) => it.textContent), /a-z/);
    assert.equal(await page.$eval("#client_secret", (it) => it.value), "", "a secret is not sent back");
    await shot(page, "new-application-wrong");
    await accessible(page, "an application with a mistake");
    await page.$eval("#name", (it) => (it.value = ""));
    await page.type("#name", "git-hub");
    await page.type("#client_secret", "a secret");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    assert.equal(path_of(page), "/applications/git-hub?did=created");
    assert.match(await text(page), /oauth\/callback\/git-hub/);
    await Promise.all([page.waitForNavigation(), page.click("a[href$='/edit']")]);
    await page.$eval("#file", (it) => (it.value = it.value.replace("pkce", "pkcee")));
    await Promise.all([page.waitForNavigation(), page.click("main form button.primary")]);
    assert.match(await text(page), /did you mean `pkce`/);
    await shot(page, "application-edit-wrong");
    await accessible(page, "an application's file with a mistake");
  },

  async connect() {
    const page = await open();
    await sign_in(page);
    await go(page, "/connect?application=drive&name=ann");
    await page.type("#whom", "Ann, finance");
    await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
    const link = await page.$eval("#link", (it) => it.textContent);
    await shot(page, "connect-link");
    await accessible(page, "a link that was made");
    // The person, in a browser of their own.
    const person = await open(await browser.createBrowserContext());
    for (const [look, width, scheme] of [["light", 1280, "light"], ["dark", 1280, "dark"], ["phone", 390, "light"]]) {
      await person.setViewport({ width, height: 800 });
      await person.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await person.goto(about.origin + new URL(link).pathname + new URL(link).search, { waitUntil: "load" });
      assert.match(await text(person), /This link is for Ann, finance/);
      await shot(person, `invite-${look}`);
      await accessible(person, `an invitation (${look})`);
      await fits(person, `an invitation (${look})`);
    }
    // With the keyboard alone, to the provider and on its page.
    await person.keyboard.press("Enter");
    await person.waitForFunction((origin) => location.origin !== origin, { timeout: 10000 }, about.origin);
    assert.equal(new URL(person.url()).pathname, "/authorize");
    assert.equal(new URL(person.url()).searchParams.get("client_id"), "drive-client");
    await Promise.all([person.waitForNavigation(), person.click("[name=decision][value=approve]")]);
    assert.match(await text(person), /drive\/ann is connected/, "and back, with the cookie that began it");
    // Whoever made the link sees it, without a reload: it says so with the account, where the provider tells one.
    await page.bringToFront();
    await go(page, "/connect");
    await page.waitForFunction(() => /linked/.test(document.querySelector("#links-list").innerText), { timeout: 5000, polling: 100 });
  },

  async script() {
    const page = await open();
    await sign_in(page);
    await go(page, "/scripts");
    await Promise.all([page.waitForNavigation(), page.click("a[href='/scripts/OAuthGoogleDrive']")]);
    await page.select("#fixture", "google-drive/code");
    await Promise.all([page.waitForNavigation(), page.click(".filters button")]);
    assert.match(await page.$eval("#reply", (it) => it.value), /^HTTP\/1.1 200\n[^]*ya29/);
    await Promise.all([page.waitForNavigation(), page.click("form.stack button.primary")]);
    const came = await page.$eval("#came", (it) => it.innerText);
    assert.match(came, /A token\.[^]*parseTokenResponse[^]* ms and \d+ operations/);
    assert.doesNotMatch(came, /ya29\.made-up/, "the token is masked");
    for (const [look, width, scheme] of [["light", 1280, "light"], ["dark", 1280, "dark"], ["phone", 390, "light"]]) {
      await page.setViewport({ width, height: 800 });
      await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
      await shot(page, `script-tried-${look}`);
      await accessible(page, `a script that was tried (${look})`);
      await fits(page, `a script that was tried (${look})`);
    }
    await page.$eval("#reply", (it) => (it.value = "HTTP/1.1 none"));
    await Promise.all([page.waitForNavigation(), page.click("form.stack button.primary")]);
    assert.match(await text(page), /The reply cannot be read/);
  },

  // From an empty home to a grant that is ended, at a provider that nobody here wrote. No mouse is used.
  async round_trip() {
    const { peer, ends_grants, client_id, client_secret } = about.more;
    const admin = await open();
    await admin.goto(links.pop(), { waitUntil: "load" });
    await passed(admin, "sign-in", /This link signs one browser in, once/);
    await enter(admin);
    await passed(admin, "overview-empty", /Overview/);

    await use(admin, "Applications");
    await passed(admin, "applications-empty", /No application is registered yet/);
    await use(admin, "New application");
    await use(admin, "By hand, or from an issuer");
    await fill(admin, "name", "peer");
    await fill(admin, "client_id", client_id);
    await fill(admin, "client_secret", client_secret);
    await fill(admin, "endpoints.authorization", `${peer}/auth`);
    await fill(admin, "endpoints.token", `${peer}/token`);
    await fill(admin, "endpoints.revocation", `${peer}/token/revocation`);
    await fill(admin, "profiles.default.scopes", "openid\noffline_access\nprofile");
    await passed(admin, "new-application", /New application: By hand/);
    await use(admin, "Make it");
    await passed(admin, "application-made", /It is made[^]*\/oauth\/callback\/peer/);
    await use(admin, "css:a[href$='/edit']");
    await tab_to(admin, () => document.activeElement.id === "file");
    await admin.keyboard.down("Control");
    await admin.keyboard.press("Home");
    await admin.keyboard.up("Control");
    await admin.keyboard.type('authorization.parameters = { prompt = "consent" }\n');
    await tab_to(admin, () => document.activeElement.matches("main form button.primary"));
    await enter(admin);
    await passed(admin, "application-edited", /It is changed/);

    /** Makes a link for a person. */
    const link = async () => {
      await fill(admin, "whom", "Alice, finance");
      await enter(admin);
      assert.match(await text(admin), /The link for peer\/alice is made/);
      return admin.$eval("#link", (it) => it.textContent);
    };
    await use(admin, "Connect");
    await fill(admin, "name", "alice");
    const first = await link();
    await passed(admin, "link-made", /It is shown only now/);

    const person = await open(await browser.createBrowserContext());
    // Its style sheet asks for a font of the public internet.
    await person.setRequestInterception(true);
    person.on("request", (request) => (request.url().startsWith("http://127.0.0.1:") ? request.continue() : request.abort()));
    /** From our link to the provider, as far as its first page. */
    const follow = async (to) => {
      await person.goto(to, { waitUntil: "load" });
      await passed(person, "invite", /This link is for Alice, finance[^]*It asks for/);
      await tab_to(person, () => document.activeElement.matches("button.primary"));
      await person.keyboard.press("Enter");
      await person.waitForFunction((peer) => location.href.startsWith(peer) && document.readyState === "complete", { timeout: 10000 }, peer);
    };
    await follow(first);
    await shot(person, "round-peer-signs-in");
    await tab_to(person, () => document.activeElement.name === "login");
    await person.keyboard.type("alice");
    await person.keyboard.press("Tab");
    await person.keyboard.type("any password");
    await enter(person);
    await shot(person, "round-peer-asks");
    await use(person, "css:a[href$='/abort']");
    await passed(person, "denied", /Consent was not given[^]*Nothing was connected/);
    await person.goto(first, { waitUntil: "load" });
    await passed(person, "stale", /This link is no longer good/);

    await use(admin, "Connect");
    await passed(admin, "links", /followed/);
    await fill(admin, "name", "alice");
    await follow(await link());
    await tab_to(person, () => document.activeElement.matches("button.login-submit"));
    await enter(person);
    await passed(person, "connected", /Connected[^]*peer\/alice is connected, as alice/);
    await person.reload({ waitUntil: "load" });
    await passed(person, "callback-twice", /This link is no longer good/);

    await use(admin, "Connect");
    await passed(admin, "links-linked", /linked as alice[^]*nothing came of it/);
    await use(admin, "Manage Tokens");
    await passed(admin, "tokens", /alice[^]*access token[^]*alice[^]*refresh token/);
    await use(admin, "css:#rows a.name");
    await passed(admin, "connection", /Active[^]*generation 1/);
    await use(admin, "Refresh now");
    await passed(admin, "refreshed", /a new access token is here[^]*generation 2/);

    assert.equal(await (await fetch(ends_grants)).text(), "ended\n");
    await use(admin, "Refresh now");
    await passed(admin, "refused", /It was not refreshed[^]*A person must consent again[^]*invalid_grant/);
    await use(admin, "Connect it again");
    assert.equal(await admin.$eval("#name", (it) => it.value), "alice");
    await follow(await link());
    await tab_to(person, () => document.activeElement.matches("button.login-submit"));
    await enter(person);
    await passed(person, "connected-again", /peer\/alice is connected, as alice/);

    await use(admin, "Manage Tokens");
    await use(admin, "css:#rows a.name");
    await passed(admin, "connection-again", /Active/);
    await use(admin, "Revoke access");
    await passed(admin, "asks", /Revoke access of peer\/alice\?[^]*the provider is told/);
    await use(admin, "Keep it");
    assert.match(await text(admin), /Active/, "nothing was ended");
    await use(admin, "Revoke access");
    await use(admin, "Revoke access");
    await passed(admin, "revoked", /peer\/alice is revoked[^]*What the provider said[^]*It revoked the token/);

    await use(admin, "Audit");
    await passed(admin, "audit", /Revoke peer\/alice[^]*Complete a consent peer\/alice[^]*Make a connect link[^]*Sign in/);
    await use(admin, "Verify the log");
    await passed(admin, "audit-verified", /The audit log is whole/);
    await use(admin, "Sign out");
    await passed(admin, "signed-out", /Sign in/);
  },

  async without_script() {
    const page = await open();
    await page.setJavaScriptEnabled(false);
    await sign_in(page);
    await go(page, "/tokens");
    await page.select("#application", "hubspot");
    await page.select("#type", "access_token");
    await Promise.all([page.waitForNavigation(), page.click(".filters button")]);
    assert.equal((await page.$$("#rows tr")).length, 2);
    await Promise.all([page.waitForNavigation(), page.click("th[aria-sort] a")]);
    assert.match(page.url(), /sort=-connection/);
    await Promise.all([page.waitForNavigation(), page.click("#rows a.name")]);
    await Promise.all([page.waitForNavigation(), page.click("form[action$='/refresh'] button")]);
    assert.match(await page.$eval("main", (it) => it.textContent), /a new access token is here/);
    await Promise.all([page.waitForNavigation(), page.click("a.danger")]);
    await Promise.all([page.waitForNavigation(), page.click("button.danger-fill")]);
    assert.match(await page.$eval("main", (it) => it.textContent), /is revoked/);
  },
};

let failed = null;
// However it hangs, it ends.
const longest = 240;
const late = new Promise((_, fail) => setTimeout(() => fail(new Error(`it took longer than ${longest} s`)), longest * 1000).unref());
try {
  await Promise.race([cases[about.case](), late]);
} catch (error) {
  failed = error;
  for (const [at, page] of (await browser.pages()).entries()) {
    await page.bringToFront().catch(() => {});
    await page.screenshot({ path: path.join(about.shots, `failed-${about.case}-${at}.png`) }).catch(() => {});
  }
} finally {
  await browser.close();
}
for (const one of wrong) console.log(`WRONG: ${one}`);
if (failed) console.log(`${about.case}: ${failed.stack}`);
if (failed || wrong.length > 0) process.exit(1);
console.log(`${about.case}: passed`);
