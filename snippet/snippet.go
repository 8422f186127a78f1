// Package snippet puts HubSpot's chat into a page in the way that HubSpot
// documents: window.hsConversationsSettings (loadImmediately false,
// identificationEmail and identificationToken), a script that calls widget.load()
// at the right time, and HubSpot's loader.
//
// With package middleware around the application, a layout for html/template
// needs one line, at the end of its body:
//
//	{{.Chat}}                   where the handler's data has Chat: snippet.HTML(r.Context())
//	{{hubspotChat .Request}}    with template.New("").Funcs(snippet.FuncMap())
//
// [Component] does the same for templ, and [Render] for anything that writes to
// an io.Writer.
//
// The output is safe anywhere in a page's HTML, any number of times, with Turbo,
// htmx and a strict Content-Security-Policy (see [WithNonce], [WithScriptPath]
// and [CSP]). It is pure ASCII, and its only dynamic parts are one JSON literal
// and the attributes of one element. Nothing here can fail: without a visitor or
// a token the page carries the anonymous chat, and without the middleware no
// chat.
package snippet

import (
	"cmp"
	"context"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/seed84b9cbbc/hubspot-visitor/internal/identity"
	"github.com/seed84b9cbbc/hubspot-visitor/internal/seldom"
)

// Option configures what the snippet emits.
type Option func(*options)

type options struct {
	settings          string // as JSON, each after a comma
	avoidInlineStyles bool   // is among them
	nonce             func(context.Context) string
	scriptPath        string // "" for a script within the page
	load              Load
	withoutLoader     bool
	loaderAttributes  string // in HubSpot's tag…
	loaderMembers     string // …and as JSON, each after a comma, for the script that makes the tag
	launcher          Launcher
	fallback          string
	debug             bool
	mistakes          []string // in options

	// By compose, the same on every page: the script or where its file is, and
	// attributes of the claim.
	script, scriptSrc, claimExtra string

	last atomic.Pointer[shared]
}

// shared is a page part that is nobody's: it is the same on all such pages, and
// made once.
type shared struct {
	chat identity.Chat
	html template.HTML
}

// WithSettings sets the widget's own settings.
func WithSettings(s Settings) Option {
	encoded := s.encode()
	return func(o *options) { o.settings, o.avoidInlineStyles = encoded, s.AvoidInlineStyles }
}

// WithNonce puts the nonce of the page's Content-Security-Policy on each script
// tag, and sets AvoidInlineStyles. nonce gets it from the request's context,
// where the code that sends the policy put it. If nonce panics, the page carries
// no chat.
func WithNonce(nonce func(context.Context) string) Option {
	return func(o *options) { o.nonce = nonce }
}

// WithScriptPath is for pages that allow no inline scripts: they get the settings
// in an application/json block, and the script as a file. path is where
// [ScriptHandler] is mounted: a path such as /assets, or a URL. The option also
// sets AvoidInlineStyles. A relative path, which would differ from page to page,
// is ignored and logged.
func WithScriptPath(path string) Option {
	return func(o *options) {
		if strings.HasPrefix(path, "/") || strings.Contains(path, "://") {
			o.scriptPath = strings.TrimSuffix(path, "/") + "/"
		} else {
			o.mistakes = append(o.mistakes, "WithScriptPath: the path begins neither with a slash nor with a scheme; the script is in the page")
		}
	}
}

// WithDebug makes the page say, in comments and in the browser's console, what it
// does and why nobody is identified. It never says who somebody is.
func WithDebug() Option { return func(o *options) { o.debug = true } }

// HTML returns the chat for the page of the request whose context is ctx. It may
// wait for the visitor's token, up to the render budget, so call it as late as
// possible: in the template, or when the template's other data is complete.
//
// ctx is the context that package middleware made, r.Context(). The contexts of
// gin and echo do not carry it: use c.Request.Context() and
// c.Request().Context().
func HTML(ctx context.Context, opts ...Option) template.HTML { return build(opts).html(ctx) }

// Render writes what [HTML] returns. Its error is w's.
func Render(ctx context.Context, w io.Writer, opts ...Option) error {
	return NewComponent(opts...).Render(ctx, w)
}

// Component is the chat as a templ component: @chat in a layout, with
//
//	chat := snippet.NewComponent(snippet.WithNonce(templ.GetNonce))
//
// It has templ's Render method but does not depend on templ. It is safe for
// concurrent use.
type Component struct{ options *options }

// NewComponent returns a Component with opts.
func NewComponent(opts ...Option) Component { return Component{build(opts)} }

// Render writes what [HTML] returns. Its error is w's.
func (c Component) Render(ctx context.Context, w io.Writer) error {
	_, err := io.WriteString(w, string(cmp.Or(c.options, defaults).html(ctx)))
	return err
}

// FuncMap returns a map with the function hubspotChat for html/template, which
// takes the request or its context.
//
//	{{hubspotChat .Request}} or {{hubspotChat .Ctx}}
func FuncMap(opts ...Option) template.FuncMap {
	o := build(opts)
	return template.FuncMap{"hubspotChat": func(v any) template.HTML {
		switch v := v.(type) {
		case *http.Request:
			if v != nil {
				return o.html(v.Context())
			}
		case context.Context:
			return o.html(v)
		}
		// An error would break the page, for the sake of a chat.
		return "<!-- hubspot-visitor: hubspotChat needs the *http.Request or its context.Context -->"
	}}
}

// defaults are never written to, but for the part that they share.
var defaults = compose(nil)

func build(opts []Option) *options {
	if len(opts) == 0 {
		return defaults
	}
	return compose(opts)
}

func compose(opts []Option) *options {
	o := &options{}
	for _, option := range opts {
		option(o)
	}
	s := chatScript
	if o.load == LoadClick {
		s = launcherScript
	}
	if o.scriptPath == "" {
		o.script = s.code
	} else {
		o.scriptSrc = o.scriptPath + s.name
	}
	o.claimExtra = o.claimAttributes()
	return o
}

const noMiddleware = "the snippet's context has no middleware: the page is outside of the chat's handler, or this is not the request's context (with gin it is c.Request.Context(), not c; with echo c.Request().Context())"

// html decides what the page gets.
func (o *options) html(ctx context.Context) template.HTML {
	if ctx == nil || ctx.Err() != nil {
		// Nobody waits for this page any more.
		return ""
	}
	page, ok := identity.From(ctx)
	if !ok {
		log.Once(ctx, slog.LevelWarn, "snippet: "+noMiddleware)
		return because(noMiddleware, o.debug)
	}
	chat := page.Chat(ctx, o.load.onDemand())
	debug := o.debug || chat.Debug
	if chat.Off {
		return because(chat.Reason, debug)
	}
	for _, mistake := range o.mistakes {
		log.Once(ctx, slog.LevelError, "snippet: "+mistake)
	}
	nonce, ok := o.nonceOf(ctx)
	if !ok {
		return because("the nonce function panicked", debug)
	}
	sharable := len(chat.Claim) <= 1 && nonce == "" && !debug
	if sharable {
		chat.Reason = "" // not said without debug
		if last := o.last.Load(); last != nil && last.chat == chat {
			return last.html
		}
	}
	html := o.part(chat, nonce, debug)
	if sharable {
		html = template.HTML(strings.Clone(string(html)))
		o.last.Store(&shared{chat, html})
	}
	return html
}

// because is the page part that says why there is none, in debug.
func because(reason string, debug bool) template.HTML {
	if !debug {
		return ""
	}
	return template.HTML(comment(reason))
}

// nonceOf reports false where the application's function panics: scripts without
// their nonce would not run, and a panic in here would break the page.
func (o *options) nonceOf(ctx context.Context) (nonce string, ok bool) {
	if o.nonce == nil {
		return "", true
	}
	defer func() {
		if !ok && recover() != nil {
			log.Once(ctx, slog.LevelError, "snippet: the function of snippet.WithNonce panicked; the page carries no chat")
		}
	}()
	return o.nonce(ctx), true
}

// log says what is wrong with an application's set-up.
var log = seldom.New(nil)
