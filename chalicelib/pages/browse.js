// Swagger UI over this service's own document: nothing is asked of anyone else, and nothing is kept.

/* global SwaggerUIBundle */

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
followScheme();
dark.addEventListener("change", followScheme);

SwaggerUIBundle({
  url: "../openapi.json",
  domNode: document.getElementById("swagger"),
  deepLinking: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  persistAuthorization: false,  // the token stays in memory
  queryConfigEnabled: false,    // a link can't name another document
  validatorUrl: null,           // the badge would send the document to a third party
  withCredentials: false,
});
