// Decide who may see the board and who may change anything: token, origin, read-only.
import { createHash, timingSafeEqual } from "node:crypto";

const LOOPBACK = ["127.0.0.1", "[::1]", "localhost"];
const READING = ["GET", "HEAD"];

// Everything comes from the board itself; no other page may hold it in a frame.
const CONTENT_POLICY = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "worker-src 'self' blob:",
  "frame-ancestors 'none'",
  "form-action 'self'",
  "base-uri 'self'",
].join("; ");

const HEADERS = {
  "Content-Security-Policy": CONTENT_POLICY,
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
};

/**
 * Give the handler that every request passes first.
 *
 * With a token: the page is shown to whoever names it as `?token=`, which sets a cookie and leads
 * to the same page without it, or as `Authorization: Bearer`. Without one the board is bound to
 * this machine, and only asked by names of this machine: a page elsewhere whose name has been
 * made to point here (DNS rebinding) gets nothing.
 */
export function guard({ host, token, readOnly }) {
  const seal = token && digest(token);
  const names = [...LOOPBACK, host];
  return async (context, next) => {
    const request = context.req;
    for (const [name, value] of Object.entries(HEADERS)) {
      context.header(name, value);
    }
    if (!seal && !names.includes(hostname(request))) {
      return context.text("The board on this machine answers to 127.0.0.1 and localhost.", 403);
    }
    if (seal && !isAdmitted(request, seal)) {
      return admit(context, seal);
    }
    if (!READING.includes(request.method)) {
      if (!isSameOrigin(request)) {
        return context.json({ error: "Only pages of the board itself may change anything." }, 403);
      }
      if (readOnly) {
        return context.json({ error: "This board is read-only." }, 405);
      }
    }
    return next();
  };
}

function hostname(request) {
  return (request.header("Host") ?? "").replace(/:\d+$/, "").toLowerCase();
}

// Browsers send cookies to all ports of a host: boards of different tokens must not log each other
// out.
function cookieName(seal) {
  return `bullq-dashboard-${seal.toString("hex").slice(0, 8)}`;
}

function isAdmitted(request, seal) {
  const bearer = request.header("Authorization")?.match(/^Bearer (.+)$/)?.[1];
  const cookies = (request.header("Cookie") ?? "").split(/; */).map((one) => one.split("="));
  const cookie = cookies.find(([name]) => name === cookieName(seal))?.[1];
  return (
    (bearer !== undefined && same(digest(bearer), seal)) ||
    (cookie !== undefined && same(digest(cookie), digest(seal.toString("hex"))))
  );
}

/** Let a person in who names the token in the address; ask for it otherwise. */
function admit(context, seal) {
  const given = context.req.query("token");
  if (given !== undefined && same(digest(given), seal)) {
    const cookie = `${cookieName(seal)}=${seal.toString("hex")}`;
    context.header("Set-Cookie", `${cookie}; Path=/; HttpOnly; SameSite=Lax`);
    const { pathname, searchParams } = new URL(context.req.url);
    searchParams.delete("token");
    const path = pathname.replace(/^\/+/, "/"); // "//host" would lead to another host
    const query = searchParams.toString();
    return context.redirect(query ? `${path}?${query}` : path);
  }
  if (context.req.path.startsWith("/api/")) {
    return context.json({ error: "The token is missing or wrong; open the board again." }, 401);
  }
  return context.html(question(given !== undefined), 401);
}

function isSameOrigin(request) {
  const origin = request.header("Origin");
  if (origin === undefined) {
    return true; // no browser: those name the origin of whatever changes something
  }
  try {
    return new URL(origin).host === request.header("Host");
  } catch {
    return false; // "null", from a page without an origin
  }
}

function question(isWrong) {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>bullq dashboard</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; max-width: 28rem; margin: 20vh auto; padding: 0 1rem }
  input, button { font: inherit; padding: .4rem .6rem }
</style>
<h1>bullq dashboard</h1>
<p>${isWrong ? "That is not the token." : "This board asks for its token."}
  <code>bullq dashboard</code> printed it when it started, or <code>BULLQ_DASHBOARD_TOKEN</code> holds it.</p>
<form method="get" action="/">
  <input type="password" name="token" aria-label="Token" autocomplete="current-password" autofocus required>
  <button>Open</button>
</form>
</html>`;
}

function digest(text) {
  return createHash("sha256").update(text).digest();
}

function same(one, other) {
  return timingSafeEqual(one, other); // digests: both always have the same length
}
