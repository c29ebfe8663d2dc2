"""Alert: events and the state of commits, told to chats and forges."""
