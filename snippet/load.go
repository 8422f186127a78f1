package snippet

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Load says when a page loads the chat.
type Load string

// Values of Load. With LoadClick and LoadManual the page says nothing about its
// visitor and is the same for everybody, so public caches may keep it and it
// costs no call to HubSpot; when the chat is wanted, the page's script asks the
// token endpoint who is signed in. If the visitor is not the one in the browser's
// marker cookie, the page updates the cookie and is private, unless the
// application declared it public.
const (
	// LoadImmediate loads the chat with the page; it is the default.
	LoadImmediate Load = "immediate"
	// LoadIdle loads it when the browser has nothing else to do.
	LoadIdle Load = "idle"
	// LoadInteraction loads it when the visitor first moves the mouse, types,
	// scrolls or taps.
	LoadInteraction Load = "interaction"
	// LoadClick loads it when the visitor clicks on the launcher, a button in
	// the page part (see [Launcher]), or on an element with
	// data-hubspot-chat="open". Visitors who opened the chat within the last
	// week get it at once, to see replies.
	LoadClick Load = "click"
	// LoadManual loads it when a script of the page calls hubspotVisitor.load()
	// or open(), as a consent banner does.
	LoadManual Load = "manual"
)

func (l Load) onDemand() bool { return l == LoadClick || l == LoadManual }

// WithLoad sets when a page loads the chat. An unknown value is logged, and means
// LoadImmediate.
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

// WithoutLoader leaves HubSpot's loader out, for pages to which a tag manager
// adds it.
func WithoutLoader() Option { return func(o *options) { o.withoutLoader = true } }

var attributeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:-]*$`)

// WithLoaderAttribute adds an attribute to the tag of HubSpot's loader, for
// consent managers and content delivery networks: type="text/plain" and
// data-cookieconsent="marketing", data-cfasync="false" or fetchpriority="low". An
// attribute that the tag itself needs, or whose name HTML does not allow, is
// ignored and logged.
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

// Launcher is the button of [LoadClick], in a corner of the window, which stands
// in for HubSpot's own until the chat is wanted.
type Launcher struct {
	// Label is the button's tooltip and name for screen readers, in the page's
	// language. Default "Chat".
	Label string
	// Color is the button's background, a CSS color. An empty or invalid one
	// means dark blue. The icon is white: choose a color with enough contrast.
	Color string
	// Left moves the button to the left corner, for accounts whose settings in
	// HubSpot put the chat there.
	Left bool
}

// WithLauncher sets how [LoadClick]'s launcher looks.
func WithLauncher(l Launcher) Option { return func(o *options) { o.launcher = l } }

// WithFallback sets a link that [LoadClick]'s launcher shows beside itself if
// HubSpot's scripts are blocked or fail: mailto:, tel:, http:, https:, or a path
// that begins with a slash. Any other link is ignored and logged.
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
