package snippet

import (
	"cmp"
	"fmt"
	"html/template"
	"strings"
	"sync"
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

// blocks are what page parts are cut from. Go's allocator has a span of its own for
// each 8 KB, which takes as long as all else here: a part takes 1.8 µs from blocks,
// and 2.9 alone. Whoever keeps a part keeps its block, so blocks are not larger.
var blocks = sync.Pool{New: func() any { return new(strings.Builder) }}

const partsPerBlock = 8

// part is the page part: settings, claim with the script, loader.
func (o *options) part(c identity.Chat, nonce string, debug bool) template.HTML {
	email, token := "", ""
	somebody := len(c.Claim) > 1
	if somebody {
		// A token without a claim would be believed by nobody; it stays here.
		email, token = c.Token.Email(), c.Token.Reveal()
	}
	inline := o.scriptSrc == ""
	later := o.load != ""
	b := blocks.Get().(*strings.Builder)
	room := roomForTags + len(o.settings) + len(email) + len(token) + len(c.Endpoint) + len(o.claimExtra) + len(o.script) + len(c.LoaderSrc) + len(o.loaderAttributes) + 3*len(nonce)
	if b.Cap()-b.Len() < room {
		b.Reset()
		b.Grow(partsPerBlock * room)
	}
	begin := b.Len()

	if debug && c.Reason != "" {
		b.WriteString(comment(c.Reason))
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
	b.WriteString(`,"identificationEmail":"`)
	b.WriteString(escape(email, unicodeEscape))
	b.WriteString(`","identificationToken":"`)
	b.WriteString(escape(token, unicodeEscape))
	b.WriteString(`"}` + scriptClose)

	b.WriteString(scriptOpen + ` data-hubspot-visitor="`)
	b.WriteString(escape(c.Claim, reference))
	b.WriteString(`"`)
	attribute(b, " data-portal", c.PortalID)
	attribute(b, " data-endpoint", c.Endpoint)
	b.WriteString(o.claimExtra)
	if later && !o.withoutLoader {
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
	attribute(b, " src", o.scriptSrc)
	b.WriteString(">")
	b.WriteString(o.script)
	b.WriteString(scriptClose)

	if !later && !o.withoutLoader {
		b.WriteString(scriptOpen + ` id="hs-script-loader" async defer`)
		attribute(b, " src", c.LoaderSrc)
		attribute(b, " nonce", nonce)
		b.WriteString(o.loaderAttributes)
		b.WriteString(">" + scriptClose)
	}
	html := template.HTML(b.String()[begin:])
	blocks.Put(b)
	return html
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
	if o.load != "" && !o.withoutLoader && o.loaderMembers != "" {
		attribute(&b, " data-attributes", "{"+o.loaderMembers[1:]+"}")
	}
	return b.String()
}

// attribute appends an attribute that has a value.
func attribute(b *strings.Builder, name, value string) {
	if value == "" {
		return
	}
	b.WriteString(name)
	b.WriteString(`="`)
	b.WriteString(escape(value, reference))
	b.WriteString(`"`)
}

// comment is an HTML comment. Without a > nothing ends it early.
func comment(text string) string {
	return "<!-- hubspot-visitor: " + escape(text, reference) + " -->\n"
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

// escape is s in a notation for the characters that do not stand for themselves.
// Most of what a page has needs none.
func escape(s string, notation func(rune) string) string {
	i := 0
	for i < len(s) && plain[s[i]] {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s { // U+FFFD for what is not UTF-8
		if r < utf8.RuneSelf && plain[r] {
			b.WriteByte(byte(r))
		} else {
			b.WriteString(notation(r))
		}
	}
	return b.String()
}

// unicodeEscape is a character in a string of JSON that is also one of JavaScript
// in HTML: in UTF-16 code units, such as \u00e9.
func unicodeEscape(r rune) (units string) {
	for _, unit := range utf16.AppendRune(nil, r) {
		units += fmt.Sprintf(`\u%04x`, unit)
	}
	return units
}

// reference is a character in an attribute's value or in text, such as &#233;.
// HTML has no NUL.
func reference(r rune) string { return fmt.Sprintf("&#%d;", cmp.Or(r, utf8.RuneError)) }

// quote is s as a string of JSON.
func quote(s string) string { return `"` + escape(s, unicodeEscape) + `"` }
