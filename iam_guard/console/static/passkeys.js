// Passkeys and security keys. A form with data-passkey is sent without an answer for the browser's options, then with it.
"use strict";

let waiting = null; // the request for autofill, which another one has to end first

async function fill(form, more) {
  form.elements.credential.value = "";
  const fields = new URLSearchParams(new FormData(form));
  const sent = await fetch(form.action, { method: "POST", body: fields, redirect: "error" });
  const options = await sent.json();
  const credential = form.dataset.passkey === "create"
    ? await navigator.credentials.create({ ...more, publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
    : await navigator.credentials.get({ ...more, publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
  form.elements.credential.value = JSON.stringify(credential);
  form.submit();
}

function message(form, error) {
  const named = { NotAllowedError: "cancelled", AbortError: "cancelled", InvalidStateError: "known" };
  return form.dataset[named[error.name]] ?? form.dataset.failed;
}

async function submitted(event) {
  event.preventDefault();
  const form = event.currentTarget, alert = form.querySelector("[role=alert]");
  alert.hidden = true;
  waiting?.abort();
  try {
    await fill(form, {});
  } catch (error) {
    alert.textContent = message(form, error);
    alert.hidden = false;
  }
}

// Offer passkeys in the field of the user name. A challenge is valid for five minutes: ask for another one before.
async function autofill(form) {
  waiting = new AbortController();
  setTimeout(() => { if (!waiting.signal.aborted) { waiting.abort(); autofill(form); } }, 240_000);
  await fill(form, { mediation: "conditional", signal: waiting.signal }).catch(() => {});
}

async function start() {
  const removed = document.querySelector("[data-removed]");
  if (removed) {
    const key = { rpId: removed.dataset.rp, credentialId: removed.dataset.removed };
    await PublicKeyCredential.signalUnknownCredential?.(key).catch(() => {});
  }
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    form.addEventListener("submit", submitted);
    form.hidden = false;
    if (form.dataset.passkey === "autofill" && await PublicKeyCredential.isConditionalMediationAvailable?.()) autofill(form);
  }
}

if (globalThis.PublicKeyCredential?.parseRequestOptionsFromJSON) start();
