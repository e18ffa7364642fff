/** Passkeys between the API's JSON and the browser: what `parse...FromJSON` does where it exists. */

type Json = Record<string, unknown>;

export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

export function textOf(data: ArrayBuffer): string {
  const plain = String.fromCharCode(...new Uint8Array(data));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function descriptors(list: unknown): PublicKeyCredentialDescriptor[] {
  return ((list ?? []) as Json[]).map((item) => ({
    id: bytesOf(item["id"] as string),
    type: "public-key",
  }));
}

/** Have the device make a passkey; returns what the API takes. */
export async function create(options: Json): Promise<Json> {
  const user = options["user"] as Json;
  const publicKey = {
    ...options,
    challenge: bytesOf(options["challenge"] as string),
    user: { ...user, id: bytesOf(user["id"] as string) },
    excludeCredentials: descriptors(options["excludeCredentials"]),
  } as unknown as PublicKeyCredentialCreationOptions;
  const made = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential;
  const response = made.response as AuthenticatorAttestationResponse;
  return answer(made, { attestationObject: textOf(response.attestationObject) });
}

/** Have the device show a passkey; returns what the API takes. */
export async function get(options: Json): Promise<Json> {
  const publicKey = {
    ...options,
    challenge: bytesOf(options["challenge"] as string),
    allowCredentials: descriptors(options["allowCredentials"]),
  } as unknown as PublicKeyCredentialRequestOptions;
  const shown = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential;
  const response = shown.response as AuthenticatorAssertionResponse;
  return answer(shown, {
    authenticatorData: textOf(response.authenticatorData),
    signature: textOf(response.signature),
    userHandle: response.userHandle === null ? null : textOf(response.userHandle),
  });
}

function answer(made: PublicKeyCredential, response: Json): Json {
  return {
    id: made.id,
    rawId: textOf(made.rawId),
    type: made.type,
    clientExtensionResults: {},
    response: { clientDataJSON: textOf(made.response.clientDataJSON), ...response },
  };
}

/** What to say when the device or its owner did not go through with it. */
export function refusalText(error: unknown): string {
  if (!(error instanceof DOMException)) {
    return String(error instanceof Error ? error.message : error);
  }
  switch (error.name) {
    case "NotAllowedError":
      return "Nothing was signed: the device's question was closed, or it has no passkey of this site.";
    case "InvalidStateError":
      return "This device has a passkey of yours already: sign in with it.";
    case "NotSupportedError":
      return "This device makes no passkeys: use another one.";
    default:
      return `The browser refused: ${error.message}`;
  }
}
