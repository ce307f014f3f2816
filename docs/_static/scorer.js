// How Sphinx's search ranks pages: as by default, but the decisions come last.
var Scorer = {
  score: ([page, , , , score]) => (page.startsWith("decisions/") ? score - 100 : score),

  // the defaults of Sphinx, which a file of one's own has to repeat
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
