// Package e2e tests the library in a real browser: pages of a small application
// with package middleware and snippet, Chromium, and the emulated HubSpot with
// its widget and inbox. It has nothing to import.
package e2e
