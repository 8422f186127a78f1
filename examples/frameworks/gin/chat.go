package main

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/seed84b9cbbc/hubspot-visitor/middleware"
)

// chatHandler is chat.Handler as a gin middleware: copy this file. Use it after
// the authentication, on the engine and not on a group, so that it answers the
// token path and covers 404 pages.
func chatHandler(chat *middleware.Middleware) gin.HandlerFunc {
	return func(c *gin.Context) {
		ginWriter, inside := c.Writer, false
		pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			inside = true
			// They stay after c.Next, for outer middlewares that render error pages.
			c.Request, c.Writer = r, &chatWriter{ginWriter, w}
			c.Next()
		})
		chat.Handler(pages).ServeHTTP(ginWriter, c.Request)
		if !inside {
			c.Abort() // the chat's endpoint has answered
		}
	}
}

// chatWriter sends everything through the chat's writer, which then settles the
// caching headers. gin's own writer keeps track of status and size.
type chatWriter struct {
	gin.ResponseWriter
	chat http.ResponseWriter
}

// leave is called before anything is sent: gin's WriteHeader only records a
// status, long before the headers are complete.
func (w *chatWriter) leave() {
	if !w.Written() {
		w.chat.WriteHeader(w.Status())
	}
}

func (w *chatWriter) WriteHeaderNow() {
	w.leave()
	w.ResponseWriter.WriteHeaderNow()
}

func (w *chatWriter) Write(p []byte) (int, error) {
	w.leave()
	return w.chat.Write(p)
}

func (w *chatWriter) WriteString(s string) (int, error) { return w.Write([]byte(s)) }

func (w *chatWriter) Flush() {
	w.leave()
	w.chat.(http.Flusher).Flush()
}

func (w *chatWriter) Unwrap() http.ResponseWriter { return w.chat }
