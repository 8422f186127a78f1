// The names of chat.js's states, in a file of their own: esbuild writes the values
// of imported constants where they are used.

// Visitors are fingerprints, and:
export const NOBODY = ""; // the anonymous; also a claim
export const UNKNOWN = null; // who the widget shall have: a question is under way
export const NONE = 0; // who the widget has: nothing is loaded
export const STRANGER = "?"; // who the widget has: an identity that is not ours

// States of HubSpot's shell. Its own word, status(), is asked once for each API
// object only: every call of the API sends off what waits in the shell's queue, and
// while the iframe starts the visitor's address and token would be lost on the way.
export const IDLE = 0; // nothing is loaded
export const PENDING = 1; // the backend was asked, or the iframe loads
export const DELAYED = 2; // a chat comes after the time that its chatflow says
export const LOADED = 3; // the iframe has loaded
