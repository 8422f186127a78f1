// Package snippet puts HubSpot's chat into a page: the script that sets
// window.hsConversationsSettings (loadImmediately false, identificationEmail and
// identificationToken), followed by widget.load() and HubSpot's loader.
//
// With package middleware around the application, a layout of html/template
// needs one line, at the end of its body:
//
//	{{.Chat}}                   where the handler's data has Chat: snippet.HTML(r.Context())
//	{{hubspotChat .Request}}    with template.New("").Funcs(snippet.FuncMap())
//
// [Component] is the same for templ, [Render] for anything that writes to an
// io.Writer.
//
// The output is safe to put anywhere in a page's HTML, any number of times, with
// Turbo, htmx and a strict Content-Security-Policy (see [WithNonce],
// [WithScriptPath] and [CSP]). It is pure ASCII, and its one dynamic part is one
// JSON literal. Nothing here can fail: without the middleware, a visitor or a
// token the page carries the anonymous chat, or none.
package snippet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/seed84b9cbbc/hubspot-visitor/hubspot"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
)

// Option changes what the snippet emits.
type Option func(*options)

type options struct {
	account    hubspot.Config
	settings   Settings
	nonce      func(context.Context) string
	scriptPath string
	load       Load
	debug      bool
}

// WithAccount tells the portal ID and region for pages without package
// middleware, which then carry the anonymous chat. The middleware's
// configuration takes precedence.
func WithAccount(portalID, region string) Option {
	return func(o *options) { o.account = hubspot.Config{PortalID: portalID, Region: region} }
}

// WithSettings sets the widget's own settings.
func WithSettings(s Settings) Option { return func(o *options) { o.settings = s } }

// WithNonce puts the nonce of the page's Content-Security-Policy on both script
// tags, and sets avoidInlineStyles. nonce reads it from the request's context,
// where the code that sends the policy put it.
func WithNonce(nonce func(context.Context) string) Option {
	return func(o *options) { o.nonce = nonce }
}

// WithScriptPath is for pages that allow no inline script: they get the data as
// an application/json block and the script as a file, from where [ScriptHandler]
// is mounted: a path such as /assets, or a URL. It sets avoidInlineStyles.
func WithScriptPath(path string) Option {
	return func(o *options) { o.scriptPath = strings.TrimSuffix(path, "/") + "/" }
}

// Load says when a page fetches HubSpot's scripts.
type Load string

// Values of Load.
const (
	LoadImmediate   Load = "immediate"   // with the page; the default
	LoadIdle        Load = "idle"        // when the browser has nothing else to do
	LoadInteraction Load = "interaction" // when the visitor first moves, types, scrolls or taps
)

// WithLoad sets when a page fetches HubSpot's scripts.
func WithLoad(when Load) Option { return func(o *options) { o.load = when } }

// WithDebug makes the script say in the browser's console what it does.
func WithDebug() Option { return func(o *options) { o.debug = true } }

// HTML is the chat for the page of the request whose context is ctx. It waits
// for the visitor's token within the render budget, so call it as late as
// possible: in the template, or when its data is complete.
func HTML(ctx context.Context, opts ...Option) template.HTML {
	var b bytes.Buffer
	write(ctx, &b, build(opts))
	return template.HTML(b.String())
}

// Render writes what [HTML] returns. Its error is w's.
func Render(ctx context.Context, w io.Writer, opts ...Option) error {
	_, err := io.WriteString(w, string(HTML(ctx, opts...)))
	return err
}

// Component is the chat as a templ component: @chat in a layout, with
//
//	chat := snippet.NewComponent(snippet.WithNonce(templ.GetNonce))
//
// It has templ's Render method and needs no templ. It may be used concurrently.
type Component struct{ opts []Option }

// NewComponent is a Component with opts.
func NewComponent(opts ...Option) Component { return Component{opts} }

// Render writes what [HTML] returns. Its error is w's.
func (c Component) Render(ctx context.Context, w io.Writer) error {
	return Render(ctx, w, c.opts...)
}

// FuncMap has the function hubspotChat for templates of html/template: it takes
// the request or its context.
//
//	{{hubspotChat .Request}} or {{hubspotChat .Ctx}}
func FuncMap(opts ...Option) template.FuncMap {
	return template.FuncMap{"hubspotChat": func(v any) template.HTML {
		switch v := v.(type) {
		case *http.Request:
			if v != nil {
				return HTML(v.Context(), opts...)
			}
		case context.Context:
			return HTML(v, opts...)
		}
		// An error would break the page, for the sake of a chat.
		return "<!-- hubspot-visitor: hubspotChat needs the *http.Request or its context.Context -->"
	}}
}

func build(opts []Option) *options {
	o := &options{}
	for _, option := range opts {
		option(o)
	}
	return o
}

// page is what chat.js gets; its comment explains the fields.
type page struct {
	Settings settings    `json:"settings"`
	Identity *identified `json:"identity,omitempty"`
	Visitor  string      `json:"visitor"`
	At       int64       `json:"at"`
	Renew    int         `json:"renew,omitempty"`
	Endpoint string      `json:"endpoint,omitempty"`
	Late     bool        `json:"late,omitempty"`
	Loader   string      `json:"loader,omitempty"`
	When     Load        `json:"when,omitempty"`
	Debug    bool        `json:"debug,omitempty"`
}

type identified struct {
	Email string `json:"identificationEmail"`
	Token string `json:"identificationToken"`
}

func write(ctx context.Context, b *bytes.Buffer, o *options) {
	if ctx == nil || ctx.Err() != nil {
		// Nobody waits for this page any more, and its headers may be in use by
		// whoever answered instead (http.TimeoutHandler).
		return
	}
	p := page{Debug: o.debug}
	loader := ""
	if r, ok := identity.From(ctx); ok {
		chat := r.Chat(ctx)
		if chat.Off {
			return
		}
		loader = chat.LoaderSrc
		p.identify(chat)
	}
	if loader == "" {
		if err := o.account.Validate(); err != nil {
			fmt.Fprintf(b, "<!-- hubspot-visitor: WithAccount: %s -->", template.HTMLEscapeString(err.Error()))
			return
		}
		loader = o.account.LoaderSrc()
	}
	if loader == "" {
		return // nobody told which account's chat this is
	}
	nonce := ""
	if o.nonce != nil {
		nonce = o.nonce(ctx)
	}
	if o.load == LoadIdle || o.load == LoadInteraction {
		p.Loader, p.When = loader, o.load
	}
	p.At = 0
	p.Settings = settings{false, o.settings}
	if nonce != "" || o.scriptPath != "" {
		p.Settings.AvoidInlineStyles = true // the policy would block them
	}
	o.writeScript(b, p, nonce)
	if p.Loader == "" {
		tag(b, "", `id="hs-script-loader" async defer src`, loader, "nonce", nonce)
	}
}

func (p *page) identify(chat identity.Chat) {
	endpoint := chat.Endpoint
	if len(chat.Claim) > 1 {
		p.Visitor = chat.Claim
	}
	p.Endpoint = endpoint
	p.Late = p.Visitor != "" && chat.Token.Reveal() == "" && endpoint != ""
	if chat.Token.Reveal() == "" {
		return
	}
	p.Identity = &identified{chat.Token.Email(), chat.Token.Reveal()}
	if endpoint != "" {
		life := chat.Token.ExpiresAt().Sub(chat.Token.IssuedAt())
		soft := time.Until(chat.Token.IssuedAt().Add(life * 3 / 4))
		p.Renew = int(max(soft, 5*time.Minute) / time.Second)
	}
}

// writeScript emits the settings script, inline or as data and file.
func (o *options) writeScript(b *bytes.Buffer, p page, nonce string) {
	data := literal(p)
	if o.scriptPath == "" {
		tag(b, inlineBefore+data+inlineAfter, "nonce", nonce)
		return
	}
	tag(b, data, "type", "application/json")
	tag(b, "", "src", o.scriptPath+scriptName, "nonce", nonce)
}

// tag writes a script element with the attributes that have a value.
func tag(b *bytes.Buffer, content string, attributes ...string) {
	b.WriteString("<script")
	for i := 0; i < len(attributes); i += 2 {
		if value := attributes[i+1]; value != "" {
			fmt.Fprintf(b, ` %s="%s"`, attributes[i], ascii(template.HTMLEscapeString(value), "&#%d;", false))
		}
	}
	b.WriteString(">" + content + "</script>\n")
}

// literal is v as JSON that is also a JavaScript expression, in ASCII and
// without any character that HTML cares about: encoding/json escapes <, > and &.
func literal(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return "null" // chat.js does nothing then; there is no such v
	}
	return ascii(string(data), `\u%04x`, true)
}

// ascii replaces every other character by format of its number, as UTF-16 code
// units or as a whole: on a page without a declared charset it would reach
// HubSpot garbled.
func ascii(s, format string, units bool) string {
	var b strings.Builder
	for _, r := range s {
		switch high, low := utf16.EncodeRune(r); {
		case r < utf8.RuneSelf:
			b.WriteByte(byte(r))
		case units && high != utf8.RuneError:
			fmt.Fprintf(&b, format+format, high, low)
		default:
			fmt.Fprintf(&b, format, r)
		}
	}
	return b.String()
}
