{ printf "%-8s | %s\n", name, $0 }
