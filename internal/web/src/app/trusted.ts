// The one Trusted Types policy of the page: scripts come from where the page came from.

/** What Trusted Types give a page, as far as it matters here. What a policy makes is no text, but stands where the DOM takes one. */
interface Rules {
  createScriptURL(address: string): string
}

declare global {
  var trustedTypes: { createPolicy(name: string, rules: Rules): Rules } | undefined
}

const rules: Rules = {
  createScriptURL: (address) => {
    const { origin } = new URL(address, location.href)
    if (origin !== location.origin) throw new TypeError(`A script from ${origin} is not ours`)
    return address
  },
}

const policy = globalThis.trustedTypes?.createPolicy('layercake', rules) ?? rules

/** An address of a script, checked, as a browser takes it that demands Trusted Types. */
export function scriptAddress(address: string): string {
  return policy.createScriptURL(address)
}
