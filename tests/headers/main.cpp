// Links the objects of every header, each compiled twice. Running it proves that no global constructor fails.
int main() { return 0; }
