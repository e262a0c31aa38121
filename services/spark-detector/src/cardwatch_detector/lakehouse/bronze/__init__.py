"""The bronze tables: messages as they came."""
