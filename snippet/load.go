package snippet

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Load says when a page loads the chat.
type Load string

// Values of Load. In the last two the page says nothing of its visitor and is the
// same for everybody, so that public caches may keep it, and costs no call to
// HubSpot: when the chat is wanted, the page's script asks the token endpoint who
// is signed in. Only where the visitor is another one than the browser's marker
// cookie says, a page sets that and is private, unless the application declared it
// public.
const (
	// LoadImmediate is with the page; the default.
	LoadImmediate Load = "immediate"
	// LoadIdle is when the browser has nothing else to do.
	LoadIdle Load = "idle"
	// LoadInteraction is when the visitor first moves, types, scrolls or taps.
	LoadInteraction Load = "interaction"
	// LoadClick is when the visitor clicks on the launcher, a button of the page part
	// (see [Launcher]), or on an element with data-hubspot-chat="open". Who opened
	// the chat within the last week has it at once, to see the answers.
	LoadClick Load = "click"
	// LoadManual is when a script of the page calls hubspotVisitor.load() or open(),
	// as a consent banner does.
	LoadManual Load = "manual"
)

func (l Load) onDemand() bool { return l == LoadClick || l == LoadManual }

// WithLoad sets when a page loads the chat. A value that is none of these is
// LoadImmediate, and the log says so.
func WithLoad(when Load) Option {
	return func(o *options) {
		o.load = ""
		switch when {
		case LoadImmediate, "":
		case LoadIdle, LoadInteraction, LoadClick, LoadManual:
			o.load = when
		default:
			o.mistakes = append(o.mistakes, "WithLoad: the value is none of Load's; the chat loads at once")
		}
	}
}

// WithoutLoader leaves HubSpot's loader out, where a tag manager brings it.
func WithoutLoader() Option { return func(o *options) { o.withoutLoader = true } }

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:-]*$`)

// WithLoaderAttribute puts an attribute on the tag of HubSpot's loader, for
// consent managers and content delivery networks: type="text/plain" and
// data-cookieconsent="marketing", data-cfasync="false" or fetchpriority="low". An
// attribute that the tag needs itself, or that HTML does not know as a name, is
// left out, and the log says so.
func WithLoaderAttribute(name, value string) Option {
	return func(o *options) {
		switch key := strings.ToLower(name); {
		case !attributeName.MatchString(name):
			o.mistakes = append(o.mistakes, "WithLoaderAttribute: the name is none of HTML's attributes; it is left out")
		case key == "src", key == "id", key == "nonce":
			o.mistakes = append(o.mistakes, "WithLoaderAttribute: "+key+" is the loader's own; it is left out")
		default:
			o.loaderAttributes += " " + key + `="` + escape(value, reference) + `"`
			o.loaderMembers += "," + quote(key) + ":" + quote(value)
		}
	}
}

// Launcher is the button of [LoadClick], in a corner of the window, that stands in
// for HubSpot's until the chat is wanted.
type Launcher struct {
	// Label is its name for screen readers and its tooltip, in the page's language;
	// "Chat" if it is empty.
	Label string
	// Color is its background, as CSS has colors; a dark blue if it is empty or none.
	// The sign on it is white: choose a color with enough contrast.
	Color string
	// Left puts it into the left corner, where HubSpot's settings put the chat there.
	Left bool
}

// WithLauncher sets the look of [LoadClick]'s launcher.
func WithLauncher(l Launcher) Option { return func(o *options) { o.launcher = l } }

// WithFallback is a link that [LoadClick]'s launcher shows beside itself where
// HubSpot's scripts are blocked or fail: mailto:, tel:, http:, https:, or a path
// that begins with a slash. Another kind of link is left out, and the log says so.
func WithFallback(href string) Option {
	return func(o *options) {
		u, err := url.Parse(href)
		if err == nil && (strings.HasPrefix(href, "/") || slices.Contains([]string{"http", "https", "mailto", "tel"}, u.Scheme)) {
			o.fallback = href
		} else {
			o.mistakes = append(o.mistakes, "WithFallback: the link begins neither with mailto:, tel:, http: or https: nor with a slash; it is left out")
		}
	}
}
