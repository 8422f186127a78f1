import { useEffect, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";

// The chat's script has run before this one. There is none with HUBSPOT_CHAT=off.
const chat = window.hubspotVisitor;

const useChatStatus = () => useSyncExternalStore(
  (changed) => {
    document.addEventListener("hubspotvisitor:change", changed);
    return () => document.removeEventListener("hubspotvisitor:change", changed);
  },
  () => chat?.status ?? { state: "none", identified: false },
);

// session asks the application's API, or tells it something.
const session = async (method, body) => {
  const response = await fetch("/api/session", { method, body: body && JSON.stringify(body) });
  if (!response.ok) throw new Error(`the session says ${response.status}`);
  return response.json();
};

function App() {
  const [path, setPath] = useState(location.pathname);
  const [user, setUser] = useState();

  useEffect(() => {
    const moved = () => setPath(location.pathname);
    addEventListener("popstate", moved);
    session("GET").then(setUser);
    return () => removeEventListener("popstate", moved);
  }, []);

  // The chat notices a new URL by itself.
  const visit = (event) => {
    event.preventDefault();
    history.pushState(null, "", event.currentTarget.href);
    setPath(location.pathname);
  };

  const signIn = async (event) => {
    event.preventDefault();
    setUser(await session("POST", { email: new FormData(event.currentTarget).get("email") }));
    chat?.refresh(); // it asks the token endpoint who that is
  };

  const signOut = async () => {
    setUser(await session("DELETE"));
    chat?.signOut(); // at once, and in the other tabs
  };

  return <>
    <a href="/" onClick={visit}>Home</a> <a href="/help" onClick={visit}>Help</a>
    <h1>{path == "/help" ? "Help" : "Welcome"}</h1>
    {user && (user.email
      ? <p>{user.email} <button onClick={signOut}>Sign out</button></p>
      : <form onSubmit={signIn}><input name="email" defaultValue="ada@example.com" /> <button>Sign in</button></form>)}
    <ChatButton />
  </>;
}

function ChatButton() {
  const { state, identified } = useChatStatus();
  if (["none", "blocked", "failed"].includes(state)) return <a href="mailto:help@example.com">Write to us</a>;
  return <button id="ask" onClick={() => chat.open()}>Ask us{identified && ": we know you"}</button>;
}

createRoot(document.getElementById("app")).render(<App />);
