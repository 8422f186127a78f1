package snippet

import "encoding/json"

// Settings are the settings of HubSpot's widget that an application can choose,
// under HubSpot's names. A field at its zero value, which is HubSpot's default
// too, is not emitted: what the page itself has in window.hsConversationsSettings
// stays. loadImmediately is always false, identificationEmail and
// identificationToken are the visitor's.
type Settings struct {
	// InlineEmbedSelector is the CSS selector of the element that holds the chat,
	// instead of a window in the corner.
	InlineEmbedSelector string `json:"inlineEmbedSelector,omitempty"`
	// EnableWidgetCookieBanner makes the widget ask before it sets cookies.
	EnableWidgetCookieBanner CookieBanner `json:"enableWidgetCookieBanner,omitempty"`
	// DisableAttachment takes the button for attachments away.
	DisableAttachment bool `json:"disableAttachment,omitempty"`
	// DisableInitialInputFocus keeps an embedded chat from taking the focus.
	DisableInitialInputFocus bool `json:"disableInitialInputFocus,omitempty"`
	// AvoidInlineStyles makes the widget link a style sheet instead of adding
	// styles to the page. It is set with WithNonce and WithScriptPath.
	AvoidInlineStyles bool `json:"avoidInlineStyles,omitempty"`
	// HideNewThreadLink takes the link for a new thread away.
	HideNewThreadLink bool `json:"hideNewThreadLink,omitempty"`
}

// CookieBanner says whether and when the widget asks before it sets cookies.
type CookieBanner string

// Values of CookieBanner.
const (
	CookieBannerOff          CookieBanner = ""               // never; HubSpot's false
	CookieBannerOn           CookieBanner = "true"           // HubSpot's true
	CookieBannerOnWidgetLoad CookieBanner = "ON_WIDGET_LOAD" // when the widget loads
	CookieBannerOnExitIntent CookieBanner = "ON_EXIT_INTENT" // when the visitor is about to leave
)

// MarshalJSON is HubSpot's value. One that HubSpot does not know becomes false:
// a wrong type keeps the widget from starting.
func (c CookieBanner) MarshalJSON() ([]byte, error) {
	switch c {
	case CookieBannerOn:
		return []byte("true"), nil
	case CookieBannerOnWidgetLoad, CookieBannerOnExitIntent:
		return json.Marshal(string(c))
	}
	return []byte("false"), nil
}

// settings is what the page gets of the widget's settings.
type settings struct {
	LoadImmediately bool `json:"loadImmediately"`
	Settings
}
