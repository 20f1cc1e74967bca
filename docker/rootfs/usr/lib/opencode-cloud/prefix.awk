# Standard output is unbuffered here, and each piece of a format is a write of its own: as one piece, a line stays
# whole among the other services' lines.
BEGIN { head = sprintf("%-12s | ", name) }
# nginx's errors quote a request with its query, which may be an auth_token.
name == "gateway" { gsub(/\?[^ "]*/, "?") }
{ printf "%s", head $0 "\n" }
