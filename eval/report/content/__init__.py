"""What stands on the page, as plain values: found in the records here, put into HTML by the templates."""
