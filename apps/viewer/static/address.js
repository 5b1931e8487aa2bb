/** The slice in the page's address, so that a link leads back to it. */

/** ?slice= of the address: a whole number from 1, else null. */
export function sliceInAddress(search = window.location.search) {
  const text = new URLSearchParams(search).get("slice");
  return text && /^[1-9]\d{0,5}$/.test(text) ? Number(text) : null;
}

/** The address with this slice (1-based) in it; nothing else of it changes. */
export function withSlice(href, slice) {
  const url = new URL(href);
  url.searchParams.set("slice", String(slice));
  return url.href;
}

/** Write the slice into the address without a new step in the history. */
export function rememberSlice(slice) {
  const next = withSlice(window.location.href, slice);
  if (next !== window.location.href) {
    window.history.replaceState(window.history.state, "", next);
  }
}
