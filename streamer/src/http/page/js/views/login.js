// Beyond this machine the page asks for the token once.

import { html } from "../../vendor/lit-html/lit-html.js";
import { cmd } from "../parts.js";
import { postJson } from "../api.js";

/** A one-time code or a token becomes a session; tells whether it did, and why not. */
export async function enter(what, ui) {
  const { status, error } = await postJson("/api/login", what);
  ui.refused = status < 300 && status > 0 ? null : error;
  if (!ui.refused) ui.entered();
  ui.again();
}

const submit = (ui) => (event) => {
  event.preventDefault();
  enter({ token: event.target.elements.token.value }, ui);
};

export const login = (ui) => html`<main class="login" id="main" tabindex="-1">
  <h1>Log in with the token</h1>
  <p class="soft">This streamer asks for a token, once in this browser.</p>
  <form @submit=${submit(ui)} novalidate><label class="field" for="token">Token</label>
    <input id="token" name="token" type="password" autocomplete="current-password" autofocus spellcheck="false" aria-describedby="token-err" aria-invalid=${ui.refused ? "true" : "false"}>
    <p class="err" id="token-err" role="alert">${ui.refused ?? ""}</p>
    <div class="acts"><button class="go">Open the page</button></div></form>
  <p class="soft">It stands in the file that <code>--token-file</code> names, or in <code>STREAMER_TOKEN</code>. In the stack:</p>
  ${cmd("docker compose exec streamer cat /run/secrets/streamer_token")}
  <p class="soft">It is sent once and kept in a cookie that scripts cannot read; it never stands in an address.</p></main>`;
