"""How data in other libraries' hands are read: items one after another, when they are asked for."""
