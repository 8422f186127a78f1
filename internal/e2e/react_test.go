package e2e_test

import (
	"fmt"
	"html/template"
	"testing"
	"time"
)

// reactSite is an application of React, rendered by the server and brought to
// life in the browser, the whole document.
func reactSite(t *testing.T, hydrate string, with ...func(*site, *configure)) *site {
	react, dom := vendored(t, "react/umd/react.production.min.js"), vendored(t, "react-dom/umd/react-dom.production.min.js")
	return newSite(t, append(with, func(s *site, _ *configure) {
		s.files["/react.js"], s.files["/react-dom.js"] = react, dom
		s.files["/app.js"] = `
			const { createElement: h, useState } = React;
			const chat = document.getElementById("chat").innerHTML;
			window.recovered = [];
			function App() {
				const [path, setPath] = useState(location.pathname);
				window.go = (to) => { history.pushState(null, "", to); setPath(to); };
				return h("html", null,
					h("head", null, h("title", null, "app"), h("script", { src: "/react.js" }), h("script", { src: "/react-dom.js" })),
					h("body", null, h("h1", null, path),
						h("div", { id: "chat", suppressHydrationWarning: true, dangerouslySetInnerHTML: { __html: chat } }),
						h("script", { src: "/app.js" })));
			}
			window.hydrate = () => ReactDOM.hydrateRoot(document, h(App), { onRecoverableError: (e) => recovered.push(e.message) });
			` + hydrate
		s.page = func(path string, chat template.HTML) string {
			return `<!doctype html><html><head><title>app</title><script src="/react.js"></script><script src="/react-dom.js"></script></head><body><h1>` +
				path + `</h1><div id="chat">` + string(chat) + `</div><script src="/app.js"></script></body></html>`
		}
	})...)
}

// TestReact: pages change, visitors sign in and out, and React renders the
// document.
func TestReact(t *testing.T) {
	t.Parallel()
	t.Run("hydrates before the chat comes", func(t *testing.T) {
		t.Parallel()
		s := reactSite(t, "hydrate();", slowLoader(time.Second))
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		tb.mark()
		tb.converged(s, first)
		tb.say("one")
		tb.do(`go("/b")`)
		tb.until("the next page", `document.querySelector("h1").textContent == "/b"`)
		tb.converged(s, first)
		tb.say("two")
		for _, c := range []struct{ do, who string }{{"/logout", ""}, {"/login?as=" + second, second}} {
			eval[any](tb, fmt.Sprintf(`fetch(%q).then(() => hubspotVisitor.refresh())`, c.do))
			tb.converged(s, c.who)
		}
		tb.do(`go("/c")`)
		tb.converged(s, second)
		if got := eval[[]string](tb, "recovered"); len(got) > 0 {
			t.Errorf("React complains of %q", got)
		}
		s.wantContacts("first@example.com*: one, two")
		tb.wantSameDocument()
		tb.noExceptions()
	})
	t.Run("hydrates when the chat is there", func(t *testing.T) {
		t.Parallel()
		s := reactSite(t, "")
		tb := newTab(t)
		tb.open(s.url + "/login?as=" + first)
		tb.mark()
		tb.converged(s, first)
		tb.do("hydrate()")
		tb.until("React", `"go" in window`)
		tb.converged(s, first)
		tb.do(`go("/b")`)
		tb.until("the next page", `document.querySelector("h1").textContent == "/b"`)
		tb.converged(s, first)
		// HubSpot's loader puts scripts of its own into the head before that.
		t.Logf("React recovered from %q; HubSpot was asked for %s", eval[[]string](tb, "recovered"), s.people(0))
		eval[any](tb, `fetch("/logout").then(() => hubspotVisitor.refresh())`)
		tb.converged(s, "")
		s.wantApart()
		tb.wantSameDocument()
	})
}
