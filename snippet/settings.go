package snippet

import "strings"

// Settings are the settings of HubSpot's widget that an application can choose,
// under HubSpot's names. A field at its zero value, which is HubSpot's default
// too, is not emitted: what the page itself has in window.hsConversationsSettings
// stays. loadImmediately is always false, identificationEmail and
// identificationToken are the visitor's.
type Settings struct {
	// InlineEmbedSelector is the CSS selector of the element that holds the chat,
	// instead of a window in the corner.
	InlineEmbedSelector string
	// EnableWidgetCookieBanner makes the widget ask before it sets cookies.
	EnableWidgetCookieBanner CookieBanner
	// DisableAttachment takes the button for attachments away.
	DisableAttachment bool
	// DisableInitialInputFocus keeps an embedded chat from taking the focus.
	DisableInitialInputFocus bool
	// AvoidInlineStyles makes the widget link a style sheet instead of adding
	// styles to the page. It is set with WithNonce and WithScriptPath.
	AvoidInlineStyles bool
	// HideNewThreadLink takes the link for a new thread away.
	HideNewThreadLink bool
}

// CookieBanner says whether and when the widget asks before it sets cookies.
type CookieBanner string

// Values of CookieBanner. Any other is HubSpot's false.
const (
	CookieBannerOff          CookieBanner = ""               // never; HubSpot's false
	CookieBannerOn           CookieBanner = "true"           // HubSpot's true
	CookieBannerOnWidgetLoad CookieBanner = "ON_WIDGET_LOAD" // when the widget loads
	CookieBannerOnExitIntent CookieBanner = "ON_EXIT_INTENT" // when the visitor is about to leave
)

// encode is s as members of a JSON object, each after a comma.
func (s Settings) encode() string {
	var b strings.Builder
	if s.InlineEmbedSelector != "" {
		b.WriteString(`,"inlineEmbedSelector":`)
		quote(&b, s.InlineEmbedSelector)
	}
	switch s.EnableWidgetCookieBanner {
	case CookieBannerOff:
	case CookieBannerOn:
		b.WriteString(`,"enableWidgetCookieBanner":true`)
	case CookieBannerOnWidgetLoad, CookieBannerOnExitIntent:
		b.WriteString(`,"enableWidgetCookieBanner":`)
		quote(&b, string(s.EnableWidgetCookieBanner))
	default:
		// A value that HubSpot does not know keeps the widget from starting.
		b.WriteString(`,"enableWidgetCookieBanner":false`)
	}
	for _, setting := range [...]struct {
		name string
		on   bool
	}{
		{"disableAttachment", s.DisableAttachment},
		{"disableInitialInputFocus", s.DisableInitialInputFocus},
		{"avoidInlineStyles", s.AvoidInlineStyles},
		{"hideNewThreadLink", s.HideNewThreadLink},
	} {
		if setting.on {
			b.WriteString(`,"` + setting.name + `":true`)
		}
	}
	return b.String()
}
