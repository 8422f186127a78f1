package snippet

// Settings are the widget's settings that an application can choose, under
// HubSpot's names. A field with its zero value, which is HubSpot's default too,
// is not emitted: a value that the page has in window.hsConversationsSettings
// then stays. loadImmediately is always false, and identificationEmail and
// identificationToken are the visitor's.
type Settings struct {
	// InlineEmbedSelector is the CSS selector of the element that holds the chat,
	// instead of a window in the corner.
	InlineEmbedSelector string
	// EnableWidgetCookieBanner makes the widget ask before it sets cookies.
	EnableWidgetCookieBanner CookieBanner
	// DisableAttachment removes the button for attachments.
	DisableAttachment bool
	// DisableInitialInputFocus keeps an embedded chat from taking the focus.
	DisableInitialInputFocus bool
	// AvoidInlineStyles makes the widget link a style sheet instead of adding
	// styles to the page. WithNonce and WithScriptPath set it.
	AvoidInlineStyles bool
	// HideNewThreadLink removes the link that starts a new thread.
	HideNewThreadLink bool
}

// CookieBanner says whether and when the widget asks before it sets cookies.
type CookieBanner string

// Values of CookieBanner. Any other value means HubSpot's false.
const (
	CookieBannerOff          CookieBanner = ""               // never; HubSpot's false
	CookieBannerOn           CookieBanner = "true"           // HubSpot's true
	CookieBannerOnWidgetLoad CookieBanner = "ON_WIDGET_LOAD" // when the widget loads
	CookieBannerOnExitIntent CookieBanner = "ON_EXIT_INTENT" // when the visitor is about to leave
)

// encode is s as members of a JSON object, each after a comma.
func (s Settings) encode() (members string) {
	add := func(set bool, name, value string) {
		if set {
			members += `,"` + name + `":` + value
		}
	}
	add(s.InlineEmbedSelector != "", "inlineEmbedSelector", quote(s.InlineEmbedSelector))
	add(s.EnableWidgetCookieBanner != CookieBannerOff, "enableWidgetCookieBanner", s.EnableWidgetCookieBanner.encode())
	add(s.DisableAttachment, "disableAttachment", "true")
	add(s.DisableInitialInputFocus, "disableInitialInputFocus", "true")
	add(s.AvoidInlineStyles, "avoidInlineStyles", "true")
	add(s.HideNewThreadLink, "hideNewThreadLink", "true")
	return members
}

// encode is what HubSpot calls b. A value that it does not know would keep the
// widget from starting.
func (b CookieBanner) encode() string {
	switch b {
	case CookieBannerOn:
		return "true"
	case CookieBannerOnWidgetLoad, CookieBannerOnExitIntent:
		return quote(string(b))
	}
	return "false"
}
