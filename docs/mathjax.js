// What MathJax is told: formulas stand where pymdownx.arithmatex has put them, and in the contents; nothing else is read as one.
window.MathJax = {
  tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]], processEscapes: true },
  options: { ignoreHtmlClass: ".*", processHtmlClass: "arithmatex|md-ellipsis", enableMenu: false },
};
