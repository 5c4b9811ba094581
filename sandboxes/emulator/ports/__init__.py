"""The way to a sandbox's ports: HTTP and WebSocket, by header or by host name."""
