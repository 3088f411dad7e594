"""One folder is one filter: finds the folders of a package, builds and tests each, and generates the function that
registers all of them. See CONTRIBUTING.md."""

def filter_package(kind, registry_type, deps):
    """Defines a cc_library per folder, a cc_test per test in it, and a cc_library named as the package.

    Args:
      kind: "http", "network" or "listener".
      registry_type: C++ type of the registry, as "http::FilterRegistry".
      deps: what the filters of this kind may use.
    """
    native.cc_library(
        name = "registry_header",
        hdrs = ["registry.h"],
        deps = deps,
    )
    deps = deps + [":registry_header"]
    folders = sorted([f[:-len("/config.cc")] for f in native.glob(["*/config.cc"])])
    for folder in folders:
        native.cc_library(
            name = folder,
            srcs = native.glob(
                [folder + "/*.cc"],
                exclude = [folder + "/*_test.cc", folder + "/*_fuzz.cc"],
            ),
            hdrs = native.glob([folder + "/*.h"]),
            deps = deps,
        )
        for test in native.glob([folder + "/*_test.cc"]):
            native.cc_test(
                name = test[len(folder) + 1:-len(".cc")] + "_of_" + folder,
                srcs = [test],
                deps = [":" + folder, "//tools/bazel/deps:gmock", "//tools/bazel/deps:gtest_main"],
            )
        for fuzz in native.glob([folder + "/*_fuzz.cc"]):
            native.cc_binary(
                name = fuzz[len(folder) + 1:-len(".cc")],
                srcs = [fuzz],
                tags = ["fuzz", "manual"],
                deps = [":" + folder],
            )
            corpus = "corpus/" + fuzz[len(folder) + 1:-len("_fuzz.cc")]
            if native.glob([corpus + "/**"]):
                native.cc_test(
                    name = fuzz[len(folder) + 1:-len(".cc")] + "_corpus_test",
                    size = "small",
                    srcs = [fuzz],
                    args = [native.package_name() + "/" + corpus],
                    data = native.glob([corpus + "/**"]),
                    deps = [":" + folder, "//test/support:corpus_main"],
                )
    native.genrule(
        name = "registry_gen",
        outs = ["registry.cc"],
        cmd = "cat > $@ <<'END'\n" + _registry(kind, registry_type, folders) + "END\n",
    )
    native.cc_library(
        name = kind,
        srcs = ["registry.cc"],
        deps = [":" + folder for folder in folders] + deps,
    )

def _registry(kind, registry_type, folders):
    names = ["register_%s_filter_%s" % (kind, folder) for folder in folders]
    lines = ['#include "filters/%s/registry.h"' % kind, "", "namespace remora {", ""]
    lines += ["void %s(%s& registry);" % (name, registry_type) for name in names]
    lines += ["", "void register_%s_filters(%s& registry) {" % (kind, registry_type)]
    lines += ["  %s(registry);" % name for name in names]
    lines += ["}", "", "}  // namespace remora", ""]
    return "\n".join(lines)
