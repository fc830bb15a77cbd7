// A link from another site comes without the cookie, also where there is one: then the page itself is asked for once more.

const answer = await fetch("/api/why").catch(() => null);
if (answer?.ok && location.search !== "?again") location.replace(`/?again${location.hash}`);
