package snippet

import (
	"cmp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
)

// What a page part is made of. The script reads the settings' JSON out of the
// first element, so these strings and chat.js belong together; its comment
// explains the attributes.
const (
	settingsOpen = "window.hsConversationsSettings={...window.hsConversationsSettings,"
	dataOpen     = `<script type="application/json">{`
	scriptOpen   = "<script"
	scriptClose  = "</script>\n"

	// roomForTags is for what is constant beside the script.
	roomForTags = 512
)

// part appends the page part: settings, claim with the script, loader.
func (o *options) part(b *strings.Builder, c identity.Chat, nonce string, debug bool) {
	email, token := "", ""
	somebody := len(c.Claim) > 1
	if somebody {
		// A token without a claim would be believed by nobody; it stays here.
		email, token = c.Token.Email(), c.Token.Reveal()
	}
	inline := o.scriptSrc == ""
	later := o.load != ""
	room := roomForTags + len(o.settings) + len(email) + len(token) + len(c.Endpoint) + len(o.claimExtra) + len(c.LoaderSrc) + len(o.loaderAttributes) + 3*len(nonce)
	if inline {
		room += len(o.script)
	}
	b.Grow(room)

	if debug && c.Reason != "" {
		comment(b, c.Reason)
	}

	// Both fields always: a page of nobody's has to overwrite what the merged object
	// holds of a former visitor.
	if inline {
		b.WriteString(scriptOpen)
		attribute(b, " nonce", nonce)
		b.WriteString(">" + settingsOpen)
	} else {
		b.WriteString(dataOpen)
	}
	b.WriteString(`"loadImmediately":false`)
	b.WriteString(o.settings)
	if (!inline || nonce != "") && !o.avoidInlineStyles {
		b.WriteString(`,"avoidInlineStyles":true`) // the policy would block them
	}
	b.WriteString(`,"identificationEmail":`)
	quote(b, email)
	b.WriteString(`,"identificationToken":`)
	quote(b, token)
	b.WriteString("}" + scriptClose)

	b.WriteString(scriptOpen + ` data-hubspot-visitor="`)
	escape(b, c.Claim)
	b.WriteString(`"`)
	attribute(b, " data-portal", c.PortalID)
	attribute(b, " data-endpoint", c.Endpoint)
	b.WriteString(o.claimExtra)
	if later && !o.loader.absent {
		attribute(b, " data-loader", c.LoaderSrc)
	}
	if c.TrackingCookie {
		b.WriteString(" data-tracking")
	}
	if debug {
		b.WriteString(" data-debug")
	}
	if somebody {
		// htmx 1 and 2 would keep a copy of the page in localStorage.
		b.WriteString(` hx-history="false"`)
	}
	attribute(b, " nonce", nonce)
	if inline {
		b.WriteString(">")
		b.WriteString(o.script)
	} else {
		attribute(b, " src", o.scriptSrc)
		b.WriteString(">")
	}
	b.WriteString(scriptClose)

	if !later && !o.loader.absent {
		b.WriteString(scriptOpen + ` id="hs-script-loader" async defer`)
		attribute(b, " src", c.LoaderSrc)
		attribute(b, " nonce", nonce)
		b.WriteString(o.loaderAttributes)
		b.WriteString(">" + scriptClose)
	}
}

// claimAttributes are those of when and how the chat loads.
func (o *options) claimAttributes() string {
	var b strings.Builder
	attribute(&b, " data-load", string(o.load))
	if o.load == LoadClick {
		attribute(&b, " data-label", o.launcher.Label)
		attribute(&b, " data-color", o.launcher.Color)
		if o.launcher.Left {
			b.WriteString(" data-left")
		}
		attribute(&b, " data-fallback", o.fallback)
	}
	if o.load != "" && !o.loader.absent {
		attribute(&b, " data-attributes", o.loader.json())
	}
	return b.String()
}

// tag is l's attributes in a tag, those without a value, too.
func (l loader) tag() string {
	var b strings.Builder
	for _, a := range l.attributes {
		b.WriteString(" " + a[0] + `="`)
		escape(&b, a[1])
		b.WriteString(`"`)
	}
	return b.String()
}

// json is them for the script that adds the tag; "" for none.
func (l loader) json() string {
	if len(l.attributes) == 0 {
		return ""
	}
	var b strings.Builder
	for _, a := range l.attributes {
		b.WriteString(",")
		quote(&b, a[0])
		b.WriteString(":")
		quote(&b, a[1])
	}
	return "{" + b.String()[1:] + "}"
}

// attribute appends an attribute that has a value.
func attribute(b *strings.Builder, name, value string) {
	if value == "" {
		return
	}
	b.WriteString(name)
	b.WriteString(`="`)
	escape(b, value)
	b.WriteString(`"`)
}

// comment appends an HTML comment. Without a > nothing ends it early.
func comment(b *strings.Builder, text string) {
	b.WriteString("<!-- hubspot-visitor: ")
	escape(b, text)
	b.WriteString(" -->\n")
}

// plain are the bytes that stand for themselves in JSON, JavaScript and HTML.
// Everything that is not ASCII is escaped as well: on a page without a declared
// charset it would reach HubSpot garbled.
var plain = func() (table [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		table[c] = !strings.ContainsRune(`"\<>&'`, rune(c))
	}
	return table
}()

// quote appends s as a string of JSON that is also one of JavaScript in HTML.
func quote(b *strings.Builder, s string) {
	b.WriteByte('"')
	write(b, s, unicodeEscape)
	b.WriteByte('"')
}

// escape appends s as an attribute's value, or as text.
func escape(b *strings.Builder, s string) { write(b, s, reference) }

// A notation is how a character is written that does not stand for itself.
type notation bool

const (
	unicodeEscape notation = true  // \u00e9, in UTF-16 code units
	reference     notation = false // &#233;
)

func write(b *strings.Builder, s string, as notation) {
	start := 0
	for i := 0; ; {
		for i < len(s) && plain[s[i]] {
			i++
		}
		b.WriteString(s[start:i])
		if i == len(s) {
			return
		}
		r, size := utf8.DecodeRuneInString(s[i:]) // U+FFFD for what is not UTF-8
		if as == unicodeEscape {
			units(b, r)
		} else {
			b.WriteString("&#" + strconv.Itoa(int(cmp.Or(r, utf8.RuneError))) + ";") // HTML has no NUL
		}
		i += size
		start = i
	}
}

// units appends r as one or two escaped UTF-16 code units.
func units(b *strings.Builder, r rune) {
	if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
		units(b, high)
		r = low
	}
	const hex = "0123456789abcdef"
	b.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.WriteByte(hex[r>>shift&15])
	}
}
