"""How the scripts beside this end: a line for each check, "N passed, 0 failed, M skipped", and an exit code."""
import importlib.util

def report(checks, *given):
    """Runs checks, by name: the packages that each needs ("name" or "name==version"), and a function that says what it found, or fails an assertion."""
    passed = failed = skipped = 0
    for name, (packages, check) in checks.items():
        missing = [package for package in packages if importlib.util.find_spec(package.split("==")[0]) is None]
        if missing:
            print(f"skip  {name}: there is no package {', '.join(missing)}")
            skipped += 1
            continue
        try:
            print(f"pass  {name}: {check(*given)}")
            passed += 1
        except AssertionError as difference:
            print(f"FAIL  {name}: {difference}")
            failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0
